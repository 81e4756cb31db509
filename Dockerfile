FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY maintenancebot maintenancebot
RUN python -m venv /opt/maintenancebot && /opt/maintenancebot/bin/pip install --no-cache-dir .

FROM python:3.13-slim
# A fixed number, so that volumes keep their owner from image to image.
RUN useradd --uid 10001 --create-home --home-dir /var/lib/maintenancebot --shell /usr/sbin/nologin maintenancebot
COPY --from=build /opt/maintenancebot /opt/maintenancebot
ENV PATH=/opt/maintenancebot/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER maintenancebot
# Store, audit log and pinned host keys: without a volume a run forgets them.
VOLUME /var/lib/maintenancebot
ENTRYPOINT ["maintenancebot", "--state-dir", "/var/lib/maintenancebot"]
CMD ["--help"]
