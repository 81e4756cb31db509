FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY maintenancebot maintenancebot
RUN python -m venv /opt/maintenancebot && /opt/maintenancebot/bin/pip install --no-cache-dir .

FROM python:3.13-slim
# A fixed number, so that volumes keep their owner from image to image.
RUN useradd --uid 10001 --create-home --home-dir /var/lib/maintenancebot --shell /usr/sbin/nologin maintenancebot \
    && chmod 0700 /var/lib/maintenancebot
COPY --from=build /opt/maintenancebot /opt/maintenancebot
ENV PATH=/opt/maintenancebot/bin:$PATH PYTHONDONTWRITEBYTECODE=1 \
    MAINTENANCEBOT_CONFIG=/etc/maintenancebot/maintenancebot.yaml \
    MAINTENANCEBOT_INVENTORY=/etc/maintenancebot/hosts.yaml \
    CREDENTIALS_DIRECTORY=/run/secrets \
    READY_URL=http://127.0.0.1:9842/health/ready
USER maintenancebot
# Store, audit log and pinned host keys: without a volume a run forgets them.
VOLUME /var/lib/maintenancebot
# Healthy is ready: the schedule lives, the store can be written, and whatever else /health/ready names.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['READY_URL'], timeout=8)"]
ENTRYPOINT ["maintenancebot", "--state-dir", "/var/lib/maintenancebot"]
CMD ["daemon"]
