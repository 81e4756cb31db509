"""What the daemon does by itself: when, what it listens on, and how alerts are taken up."""

from __future__ import annotations

from pydantic import Field, model_validator

from maintenancebot.settings.values import AbsoluteFile, HttpUrl, Positive, Schedule, Strict, Text, refusal


class Schedules(Strict):
    """What has a schedule of its own beside the cycle; `null` switches one off."""

    certificates: Schedule | None = Field(default="0 6 * * *", description="The daily look at certificates.")
    purge: Schedule | None = Field(default="30 4 * * *", description="The purge of what is past its time.")
    summary: Schedule | None = Field(default="0 8 * * 1", description="The summary of the week.")


class Tls(Strict):
    """TLS of the daemon's own server."""

    certificate: AbsoluteFile = Field(description="Its certificate and chain, PEM.")
    key: AbsoluteFile = Field(description="Its private key, PEM.")
    client_ca: AbsoluteFile | None = Field(
        default=None, description="Authority of client certificates, which the webhook then demands instead of a token."
    )


class Http(Strict):
    """Where webhook, health and metrics are served; the token is the secret `webhook_token`."""

    host: Text = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=9842, ge=0, le=65535, description="Port; 0 takes a free one.")
    tls: Tls | None = Field(default=None, description="TLS; needed beyond loopback.")
    max_body_bytes: int = Field(default=2**20, ge=1024, le=2**26, description="A larger message is refused.")
    read_timeout: int = Field(default=10, ge=1, le=300, description="Seconds in which a message must have arrived.")
    requests_per_minute: Positive = Field(default=30_000, description="More than that from one address is refused.")
    dead_man_url: HttpUrl | None = Field(
        default=None, description="Asked for after each cycle and each day on which all is well."
    )

    @model_validator(mode="after")
    def _is_not_open_to_others_in_clear(self) -> Http:
        if self.tls is None and self.host not in ("127.0.0.1", "::1", "localhost"):
            raise refusal(
                f"{self.host} is reached by others, and a token in clear text is no secret",
                "write http.tls, or host 127.0.0.1 behind a proxy that does TLS",
            )
        return self


class Alerts(Strict):
    """How alerts are taken up."""

    disk: tuple[Text, ...] = Field(
        default=("*DiskFull*", "*FilesystemAlmostOutOf*", "*FilesystemSpaceFillingUp*", "*FilesystemFilesFillingUp*"),
        description="Globs of alert names that mean a full file system.",
    )
    drift: tuple[Text, ...] = Field(
        default=("*ConfigDrift*", "*ConfigurationDrift*"),
        description="Globs of alert names that mean that a host drifted from its declared state.",
    )
    host_labels: tuple[Text, ...] = Field(
        default=("host", "instance", "nodename"), description="Labels that may name the host, the first that does wins."
    )
    mount_labels: tuple[Text, ...] = Field(default=("mountpoint", "path"), description="Labels that name the mount.")
    cooldown_minutes: Positive = Field(
        default=60, description="Minutes after an episode in which host, rule and mount have no other."
    )
    per_host_a_day: Positive = Field(default=4, description="Episodes that one host may have in 24 hours.")
    per_rule_an_hour: Positive = Field(default=20, description="Episodes of one rule in an hour, over all hosts.")
    parallel: int = Field(default=4, ge=1, le=64, description="Episodes at work at once.")
    max_age_minutes: Positive = Field(default=60, description="An alert that waited longer is recorded only.")
    escalate_others: bool = Field(default=False, description="Whether alerts that no rule heals are escalated.")
