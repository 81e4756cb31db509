"""The sections of a configuration besides its tasks, and the whole."""

from __future__ import annotations

import hashlib
import json
import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationInfo, field_validator, model_validator

from maintenancebot.model import Autonomy
from maintenancebot.settings.aws import Session
from maintenancebot.settings.baselines import Baselines
from maintenancebot.settings.places import Document, Loc, Place
from maintenancebot.settings.serving import Alerts, Http, Schedules
from maintenancebot.settings.tasks import CleanupPattern, ConfiguredTask
from maintenancebot.settings.telling import Llm, Notify, Slack
from maintenancebot.settings.values import (
    AbsoluteFile,
    AllowedRoot,
    Bucket,
    ClockTime,
    Day,
    KeepRule,
    KeyPrefix,
    Name,
    Positive,
    Schedule,
    Selectors,
    Share,
    Size,
    Strict,
    Text,
    TrashFolder,
    Zone,
    refusal,
)

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Window(Strict):
    """When changes may be made, in wall-clock time of the configuration's time zone."""

    days: tuple[Weekday, ...] = Field(
        default=("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
        min_length=1,
        description="Days on which the window opens.",
    )
    start: ClockTime = Field(default="00:00", description='When it opens, such as "22:00".')
    end: ClockTime = Field(default="24:00", description="When it closes; before `start` means on the next day.")

    @model_validator(mode="after")
    def _has_a_length(self) -> Window:
        if self.start == self.end or self.start == "24:00":
            raise refusal("the window never opens", 'write different times; the whole day is "00:00" to "24:00"')
        return self


class Freeze(Strict):
    """Days on which nothing is changed, whatever the window says."""

    start: Day = Field(description="First day.")
    end: Day = Field(description="Last day, which still counts.")
    reason: str = Field(default="", description="Shown in reports.")

    @model_validator(mode="after")
    def _is_in_order(self) -> Freeze:
        if self.end < self.start:
            raise refusal(f"the freeze ends {self.end} before it starts {self.start}", "exchange the two days")
        return self


class Defaults(Strict):
    """What tasks have that do not say it themselves."""

    hosts: Selectors = Field(default=("all",), description="Hosts of a task without `hosts`.")
    approval: Autonomy = Field(default=Autonomy.AUTO, description="Approval of a task without `approval`.")


class Caps(Strict):
    """The most that one task may delete on one host in one run; more needs an approval."""

    files: int = Field(default=10_000, ge=1, le=100_000, description="Objects; a plan must stay readable.")
    bytes: Size = Field(default=50 * 2**30, description='Bytes, as a number or as "50 GiB".')
    share: Share = Field(default=0.5, description="Share of the files of the looked-at trees.")
    share_from_files: Positive = Field(default=100, description="Below so many files the share does not count.")


class Offload(Session):
    """An object store for what was taken away; its credentials come from the environment, never from here."""

    bucket: Bucket = Field(description="Bucket, which must exist.")
    prefix: KeyPrefix = Field(default="maintenancebot/", description="How the keys of all objects begin.")


class Trash(Strict):
    """Other places for what was taken away than its own file system."""

    elsewhere: TrashFolder | None = Field(
        default=None, description="Folder on another file system of each host; root's own, mode 0700, made if missing."
    )
    offload: Offload | None = Field(default=None, description="Object store.")


class Deletion(Strict):
    """Where files may be deleted, which never, and how long the trash keeps them."""

    allow: tuple[AllowedRoot, ...] = Field(default=("/var/log",), description="Trees below which files may be deleted.")
    protect: tuple[KeepRule, ...] = Field(default=(), description="Globs of files and folders that are never touched.")
    keep_days: int = Field(
        default=30, ge=1, le=3650, description="Days in the trash before a purge may remove an item."
    )
    min_days: int = Field(
        default=7, ge=1, le=3650, description="Days before a purge that must free space may remove an item."
    )
    caps: Caps = Field(default=Caps(), description="The most that one task may delete on one host.")
    trash: Trash = Field(default=Trash(), description="Other places than a file's own file system.")

    @property
    def minimum_days(self) -> int:
        """Days in the trash that even a purge for space respects."""
        return min(self.min_days, self.keep_days)

    @model_validator(mode="after")
    def _keeps_longer_than_the_minimum(self) -> Deletion:
        if "min_days" in self.model_fields_set and self.min_days > self.keep_days:
            raise refusal(
                f"min_days {self.min_days} is more than keep_days {self.keep_days}", "write at most keep_days"
            )
        return self


class Way(StrEnum):
    """A way to free space; each is passed over where nothing is configured for it."""

    PACKAGE_CACHE = "package_cache"
    JOURNAL = "journal"
    COMPRESSED = "compressed"  # old files, and items of the trash, compressed into the trash
    ELSEWHERE = "elsewhere"  # to another file system
    OFFLOADED = "offloaded"  # to an object store
    PURGE = "purge"  # the oldest items past `deletion.min_days`


class DiskRemediation(Strict):
    """What `remediate disk` may do to a full file system."""

    target_percent: int = Field(default=80, ge=10, le=98, description="Use in percent, as df shows it, to get below.")
    ways: tuple[Way, ...] = Field(default=tuple(Way), description="Ways to free space, in the order of their use.")
    patterns: tuple[CleanupPattern, ...] = Field(
        default=(), description="Files that may be taken away for space, beside those of the cleanup tasks."
    )
    journal_keep_bytes: Size = Field(default=64 * 2**20, description="What of the journal stays.")


class DriftRemediation(Strict):
    """How hosts are held against their declared state; which items may be corrected, the baselines say."""

    baselines: Text = Field(
        default="baselines", description="Folder of the baselines, beside the configuration file or absolute."
    )
    approval: Autonomy = Field(
        default=Autonomy.AUTO, description="The most that is corrected by itself, whatever an item says."
    )
    corrections_per_day: int = Field(
        default=2, ge=1, le=100, description="Corrections of one item in 24 hours before it counts as contested."
    )
    revert_seconds: int = Field(
        default=120,
        ge=20,
        le=3600,
        description="Seconds until a change that could lock everybody out is taken back, unless a new login works.",
    )


class Remediation(Strict):
    """What alerts, and a person by hand, may have healed."""

    disk: DiskRemediation = Field(default=DiskRemediation(), description="Full file systems.")
    drift: DriftRemediation = Field(default=DriftRemediation(), description="Declared state.")
    alerts: Alerts = Field(default=Alerts(), description="Which alerts are healed, and how often.")


class Guards(Strict):
    """Limits that hold whatever a plan says."""

    kill_switch_file: AbsoluteFile | None = Field(
        default=None, description="While this file exists, nothing is changed."
    )
    max_clock_skew_seconds: int = Field(
        default=300, ge=1, le=86400, description="Above it, nothing that depends on age is done."
    )
    fleet_share: Share = Field(default=1.0, description="Share of the fleet's hosts that one run may change.")
    actions_per_hour: Positive = Field(default=20_000, description="Changes in an hour, over all hosts.")
    actions_per_day: Positive = Field(default=100_000, description="Changes in a day, over all hosts.")
    plan_valid_hours: int = Field(default=24, ge=1, le=720, description="How long a plan may be run.")
    breaker_failures: Positive = Field(default=3, description="Failures in a row that open a breaker.")
    breaker_reset_minutes: Positive = Field(default=60, description="How long a breaker stays open.")
    breaker_hosts: Positive = Field(
        default=3, description="Hosts that fail within the reset time and open the breaker of their rule or group."
    )
    breaker_fleet_hosts: Positive = Field(
        default=10, description="Hosts that fail within the reset time and open the breaker of the whole fleet."
    )
    autonomy: dict[Name, Autonomy] = Field(
        default={}, description="The most that may be done by itself on hosts of a group, whatever a task says."
    )


class Ssh(Strict):
    """How hosts are reached."""

    known_hosts: AbsoluteFile | None = Field(
        default=None, description="Pinned host keys; else known_hosts in the state folder."
    )
    keys: tuple[AbsoluteFile, ...] = Field(default=(), description="Private keys that are tried.")
    agent: bool = Field(default=True, description="Whether keys of a running ssh-agent are tried.")
    connect_timeout: Positive = Field(default=10, description="Seconds until a connection must stand.")
    login_timeout: Positive = Field(default=15, description="Seconds for banner and login.")
    idle_timeout: Positive = Field(
        default=60, description="Seconds without a sign of life after which a host counts as hung."
    )
    probe_deadline: Positive = Field(default=300, description="Seconds for looking at one host.")
    apply_deadline: Positive = Field(default=7200, description="Seconds for changing one host.")
    parallel: int = Field(default=32, ge=1, le=1000, description="Hosts worked on at once.")


def _store_url(text: str) -> str:
    if re.match(r"postgres(ql)?(\+[a-z0-9]+)?://", text):
        raise refusal(
            "a store in PostgreSQL is not available yet", "leave `url` out, or write sqlite:////folder/state.db"
        )
    if not re.fullmatch(r"sqlite:////[^\s?#]+", text):
        raise refusal("this is no URL of a store", "write sqlite:////folder/state.db, or leave `url` out")
    return text


class Store(Strict):
    """Where runs, the audit log and the state of guards are kept."""

    url: Annotated[str, AfterValidator(_store_url)] | None = Field(
        default=None, description="SQLite file as sqlite:////folder/state.db; else state.db in the state folder."
    )


class Settings(Strict):
    """A whole configuration."""

    name: Text = Field(default="MaintenanceBot", max_length=80, description="Name of this bot in reports.")
    schedule: Schedule | None = Field(default=None, description="Standard cron; without it no cycle runs by itself.")
    schedules: Schedules = Field(default=Schedules(), description="What else the daemon does at set times.")
    timezone: Zone = Field(default="UTC", description="Time zone of schedule, window and freeze.")
    window: Window | None = Field(default=None, description="When changes may be made; without it, always.")
    freeze: tuple[Freeze, ...] = Field(default=(), description="Days on which nothing is changed.")
    defaults: Defaults = Field(default=Defaults(), description="What tasks have that do not say it themselves.")
    tasks: tuple[ConfiguredTask, ...] = Field(min_length=1, description="What is to be done.")
    deletion: Deletion = Field(default=Deletion(), description="Where files may be deleted.")
    remediation: Remediation = Field(default=Remediation(), description="What may be healed, and how.")
    guards: Guards = Field(default=Guards(), description="Limits that hold whatever a plan says.")
    ssh: Ssh = Field(default=Ssh(), description="How hosts are reached.")
    http: Http = Field(default=Http(), description="Webhook, health and metrics of the daemon.")
    llm: Llm | None = Field(default=None, description="A model that words summaries.")
    slack: Slack | None = Field(default=None, description="A channel that is told.")
    notify: Notify = Field(default=Notify(), description="Who is told beside Slack.")
    store: Store = Field(default=Store(), description="Where the state is kept.")

    _document: Document | None = PrivateAttr(default=None)
    _baselines: Baselines = PrivateAttr(default_factory=Baselines)

    @field_validator("tasks")
    @classmethod
    def _inherit_defaults(cls, tasks: tuple[ConfiguredTask, ...], info: ValidationInfo) -> tuple[ConfiguredTask, ...]:
        defaults = info.data.get("defaults", Defaults())
        inherited = {"hosts": defaults.hosts, "approval": defaults.approval}
        return tuple(
            task.model_copy(update={k: v for k, v in inherited.items() if k not in task.model_fields_set})
            for task in tasks
        )

    @property
    def digest(self) -> str:
        """SHA-256 over all effective values and all baselines; a plan is bound to it."""
        values = {"settings": self.model_dump(mode="json"), "baselines": self.baselines.digest}
        content = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(content.encode("ascii")).hexdigest()

    @property
    def baselines(self) -> Baselines:
        """What hosts are held against."""
        return self._baselines

    def read_from(self, document: Document, baselines: Baselines) -> Settings:
        """The same settings, knowing where each value stands, with the baselines that lie beside them."""
        self._document, self._baselines = document, baselines
        return self

    def place(self, loc: Loc) -> Place:
        """Where in its file a value stands."""
        return self._document.place(loc) if self._document else Place("configuration")
