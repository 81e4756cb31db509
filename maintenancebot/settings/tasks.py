"""The five kinds of task, told apart by `type`."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from maintenancebot.model import Autonomy, TaskType
from maintenancebot.settings.aws import AcmSource
from maintenancebot.settings.declared import DriftTask
from maintenancebot.settings.sources import BackupSource
from maintenancebot.settings.values import (
    Glob,
    HttpUrl,
    KeepRule,
    Label,
    Name,
    Pattern,
    Positive,
    Selectors,
    Size,
    SocketPath,
    Strict,
    TcpAddress,
    Text,
    UnitName,
    refusal,
)

BACKUP_CHECK = re.compile(r"backup_completed_within_([1-9][0-9]{0,3})([hd])")
EXPIRY_CHECK = re.compile(r"certificate_expiry_days\s*>\s*([1-9][0-9]{0,3})")


class CommonTask(Strict):
    """What every task has; `hosts` and `approval` come from `defaults` where a task does not say them."""

    name: Name = Field(description="Name in plans, reports and --task; unique.")
    hosts: Selectors = Field(
        default=("all",), description='Hosts, groups, globs such as "web-*", "!name" to leave out.'
    )
    approval: Autonomy = Field(default=Autonomy.AUTO, description="How much the task may do by itself.")


class Waves(Strict):
    """In which order hosts are upgraded, and when the rest is left untouched."""

    canaries: bool = Field(default=True, description="Begin with one host for each release and group.")
    growth: int = Field(default=2, ge=1, le=10, description="How many times larger each wave is than the one before.")
    cap: Positive = Field(default=10, description="The most hosts in one wave.")
    max_failures: int = Field(
        default=0, ge=0, le=1000, description="Hosts that may fail in the whole run before the rest is left."
    )


class HttpCheck(Strict):
    """A page that the host itself must be able to read."""

    url: HttpUrl = Field(description='Address as the host reaches it, such as "http://127.0.0.1:8080/health".')
    status: int = Field(default=200, ge=100, le=599, description="The status that means well.")


class Health(Strict):
    """What must be well after an upgrade as it was before."""

    settle_seconds: int = Field(default=20, ge=0, le=3600, description="How long it is watched.")
    http: tuple[HttpCheck, ...] = Field(default=(), description="Pages that must answer.")
    tcp: tuple[TcpAddress, ...] = Field(default=(), description='Addresses that must take a connection, "host:port".')
    ignore_units: tuple[Text, ...] = Field(default=(), description="Globs of systemd units that may fail.")


class Reboot(StrEnum):
    """What becomes of a host that needs a reboot."""

    NEVER = "never"  # not even told
    REPORT = "report"
    WHEN_REQUIRED = "when_required"  # one host of a quorum group at a time, in the window


class Origin(Strict):
    """An archive whose updates count as security fixes; globs over the fields of its Release file."""

    origin: Text = Field(description="Its Origin.")
    label: Text = Field(default="*", description="Its Label.")
    suite: Text = Field(default="*", description="Its Suite.")


class PackageUpdateTask(CommonTask):
    """Upgrades packages, chosen by origin."""

    type: Literal[TaskType.PACKAGE_UPDATE]
    scope: Literal["security_only", "all"] = Field(description="Which updates are wanted.")
    rollback_on_failure: bool = Field(
        default=False, description="After a failed check, put back what this run changed, once."
    )
    lock_timeout_seconds: int = Field(
        default=300, ge=0, le=7200, description="How long to wait for apt's and dpkg's locks."
    )
    max_new_packages: int = Field(
        default=5, ge=0, description="Refuse a plan that installs more packages that are new."
    )
    origins: tuple[Origin, ...] = Field(default=(), description="Further archives of security fixes.")
    waves: Waves = Field(default=Waves(), description="Which hosts first, and when to stop.")
    health: Health = Field(default=Health(), description="What must be well afterwards.")
    never_roll_back: tuple[Text, ...] = Field(
        default=(), description="Globs of packages that are never rolled back, beside the built-in ones."
    )
    snapshot_hook: SocketPath | None = Field(
        default=None, description="Program of root's on the host that must succeed before an upgrade, for a snapshot."
    )
    repair: bool = Field(default=False, description="Finish what an interrupted dpkg left, before anything else.")
    reboot: Reboot = Field(default=Reboot.REPORT, description="Whether hosts that need it are rebooted.")


class Keeping(StrEnum):
    """Where what a cleanup takes away lies until it is purged."""

    HERE = "here"  # on its own file system: frees nothing now
    COMPRESSED = "compressed"  # on its own file system, compressed
    ELSEWHERE = "elsewhere"  # in `deletion.trash.elsewhere`, on another file system
    OFFLOADED = "offloaded"  # in the object store of `deletion.trash.offload`


class CleanupPattern(Strict):
    """Which files are old, and what becomes of them."""

    path: Pattern = Field(description="Absolute glob below a tree of deletion.allow.")
    retention_days: int = Field(ge=1, le=36500, description="Files younger than this stay.")
    compress: bool = Field(
        default=False, description="Replace a file by a verified .gz instead of moving it to the trash."
    )
    links: bool = Field(default=False, description="Whether links that match go too, as links.")
    exclude: tuple[KeepRule, ...] = Field(default=(), description="Globs of files and folders that stay.")


class Journal(Strict):
    """How much of the systemd journal stays; only archived files go."""

    keep_days: Positive | None = Field(default=None, description="Entries older than so many days may go.")
    keep_bytes: Size | None = Field(default=None, description="Above so many bytes the oldest files go.")

    @model_validator(mode="after")
    def _has_a_limit(self) -> Journal:
        if self.keep_days is None and self.keep_bytes is None:
            raise refusal("the journal has no limit here", "write keep_days or keep_bytes")
        return self


class Rotation(Strict):
    """A log that grows and that no logrotate configuration covers."""

    path: Pattern = Field(description="Absolute glob below a tree of deletion.allow.")
    max_bytes: Size = Field(default=100 * 2**20, description="A log above this size is rotated.")
    reload: UnitName | None = Field(
        default=None, description="systemd unit that is reloaded so that it opens its log again."
    )


class CleanupTask(CommonTask):
    """Compresses or quarantines old files."""

    type: Literal[TaskType.CLEANUP]
    patterns: tuple[CleanupPattern, ...] = Field(default=(), description="Which files are old.")
    keep: Keeping = Field(default=Keeping.HERE, description="Where what is taken away lies until it is purged.")
    package_cache: bool = Field(default=False, description="Drop package files that apt can fetch again.")
    journal: Journal | None = Field(default=None, description="Remove archived files of the journal.")
    rotate: tuple[Rotation, ...] = Field(default=(), description="Logs that nobody rotates.")

    @model_validator(mode="after")
    def _has_something_to_do(self) -> CleanupTask:
        if not (self.patterns or self.package_cache or self.journal or self.rotate):
            raise refusal("the task has nothing to look at", "write patterns, package_cache, journal or rotate")
        return self


class DockerPruneTask(CommonTask):
    """Removes images and volumes that nothing uses."""

    type: Literal[TaskType.DOCKER_PRUNE]
    remove_unused_images: bool = Field(default=False, description="Remove images that nothing uses.")
    remove_dangling_volumes: bool = Field(
        default=False, description="Archive unused volumes to the trash, then remove them."
    )
    min_age_hours: int = Field(default=48, ge=1, le=876000, description="Younger objects stay.")
    keep_newest: int = Field(default=1, ge=0, le=1000, description="The newest images of each repository that stay.")
    keep_labels: tuple[Label, ...] = Field(
        default=("maintenancebot.keep",), description="Objects with one of these stay."
    )
    keep_images: tuple[Text, ...] = Field(default=(), description="Globs of image tags that stay.")
    save_images: bool = Field(
        default=False, description="Whether images that no registry gives back are saved to the trash, then removed."
    )
    volumes: tuple[Text, ...] = Field(default=(), description="Globs of named volumes that may go like nameless ones.")
    sightings: int = Field(
        default=3, ge=1, le=100, description="Runs in which a volume was seen unused before it may go."
    )
    build_cache: bool = Field(default=False, description="Whether old, unused records of the build cache go.")
    stopped_containers: tuple[Text, ...] = Field(
        default=(), description="Globs of stopped containers that may go, with their layer and logs."
    )
    socket: SocketPath = Field(default="/run/docker.sock", description="Docker's socket on the host.")


def _backup_check(text: str) -> str:
    if not BACKUP_CHECK.fullmatch(text):
        raise refusal(f"{text!r} is no check of backups", 'write "backup_completed_within_24h", or 7d for seven days')
    return text


def _expiry_check(text: str) -> str:
    if not EXPIRY_CHECK.fullmatch(text):
        raise refusal(f"{text!r} is no check of certificates", 'write "certificate_expiry_days > 30"')
    return text


class VerifyTask(CommonTask):
    """Checks that backups exist, are fresh and can be read."""

    type: Literal[TaskType.VERIFY]
    check: Annotated[str, AfterValidator(_backup_check)] = Field(description="How fresh the newest backup must be.")
    alert_on_failure: bool = Field(default=True, description="A bad backup is reported as needing a person.")
    sources: tuple[BackupSource, ...] = Field(default=(), description="Where backups lie.")

    @property
    def max_age_hours(self) -> int:
        """The greatest age of the newest good backup."""
        match = BACKUP_CHECK.fullmatch(self.check)
        assert match is not None
        return int(match[1]) * (24 if match[2] == "d" else 1)


Port = Annotated[int, Field(ge=1, le=65535)]


class Protocol(StrEnum):
    """What is spoken before a connection becomes TLS."""

    TLS = "tls"  # nothing
    SMTP = "smtp"
    IMAP = "imap"
    POSTGRES = "postgres"
    LDAP = "ldap"


class TlsEndpoint(Strict):
    """A server that is not on the host itself."""

    address: TcpAddress = Field(description='As the host reaches it, "www.example.org:443".')
    name: Text | None = Field(default=None, description="Name to ask for; without it, the address.")
    protocol: Protocol = Field(default=Protocol.TLS, description="What is spoken before TLS.")


class MonitorTask(CommonTask):
    """Checks how long certificates stay valid, in files and as served."""

    type: Literal[TaskType.MONITOR]
    check: Annotated[str, AfterValidator(_expiry_check)] = Field(description="How many days must be left.")
    alert_threshold: Positive | None = Field(default=None, description="Days left below which a person is told.")
    auto_renew: bool = Field(default=False, description="Renew by certbot what it manages and what is due.")
    files: tuple[Glob, ...] = Field(
        default=("/etc/letsencrypt/live/*/fullchain.pem", "/etc/nginx/ssl/*.pem", "/etc/nginx/ssl/*.crt"),
        description="Absolute globs of certificate files.",
    )
    ports: tuple[Port, ...] = Field(
        default=(443, 8443, 465, 636, 993, 995), description="Local TLS ports that are looked at."
    )
    starttls_ports: dict[Protocol, tuple[Port, ...]] = Field(
        default={
            Protocol.SMTP: (25, 587),
            Protocol.IMAP: (143,),
            Protocol.POSTGRES: (5432,),
            Protocol.LDAP: (389,),
        },
        description="Local ports that begin in clear text, by protocol.",
    )
    endpoints: tuple[TlsEndpoint, ...] = Field(default=(), description="Further servers, as the host reaches them.")
    acm: AcmSource | None = Field(default=None, description="AWS Certificate Manager, looked at from the controller.")

    @property
    def threshold_days(self) -> int:
        """The days that must be left."""
        match = EXPIRY_CHECK.fullmatch(self.check)
        assert match is not None
        return int(match[1])

    @model_validator(mode="after")
    def _alert_is_not_before_the_check(self) -> MonitorTask:
        if self.alert_threshold is not None and self.alert_threshold > self.threshold_days:
            raise refusal(
                f"alert_threshold {self.alert_threshold} is more than the {self.threshold_days} days of the check",
                f"write at most {self.threshold_days}, or raise the check",
            )
        return self


ConfiguredTask = Annotated[
    PackageUpdateTask | CleanupTask | DockerPruneTask | VerifyTask | MonitorTask, Field(discriminator="type")
]
"""What a configuration lists."""

Task = PackageUpdateTask | CleanupTask | DockerPruneTask | VerifyTask | MonitorTask | DriftTask
"""What a host can have to do in a run."""
