"""The facts of a week: computed by code from what was recorded, rendered in many forms, worded by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from maintenancebot.model import Json, Reason, State


@dataclass(frozen=True)
class Line:
    """One thing that a person should read; everything in it comes from records."""

    host: str  # "" for what is about the fleet or the bot itself
    subject: str  # task, rule or part, such as `security_patches`, `disk /srv`, `missed slot`
    state: State
    reason: Reason
    detail: str = ""
    since: datetime | None = None  # since when it is so, where that is known
    weeks: int = 0  # in how many weekly looks before this one it was the same
    action: str = ""  # what a person can do, in one sentence


@dataclass(frozen=True)
class Cell:
    """A task on a host as it ended last in the week."""

    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    at: datetime | None = None
    changes: int = 0  # made in the week


@dataclass(frozen=True)
class HostWeek:
    """A host of the inventory; each has one."""

    host: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    groups: tuple[str, ...] = ()
    tasks: Mapping[str, Cell] = field(default_factory=dict)
    is_quiet: bool = False  # bad by tasks alone for whose verdict nobody wants to be called


@dataclass(frozen=True)
class Forecast:
    """When a disk will be full, from our own samples; days from now, None where it does not grow or is not known."""

    host: str
    mount: str
    percent: float
    days: float | None = None
    soonest: float | None = None  # within the uncertainty of the fit
    latest: float | None = None
    samples: tuple[tuple[datetime, float], ...] = ()  # used percent over time, for a plot
    age: float = 0.0  # of the newest sample, in days


@dataclass(frozen=True)
class RunLine:
    """A run of the week."""

    run: str
    command: str
    started_at: datetime
    finished_at: datetime | None
    state: State | None  # None: it never ended


@dataclass(frozen=True)
class Week:
    """All that a summary tells. What needs a person is first, worst first, and is never left out."""

    name: str  # of the bot
    week: str  # as ISO names it: 2026-W47
    starts_at: datetime
    ends_at: datetime
    zone: str
    state: State  # the worst of all
    headline: str  # one sentence, from code
    needs_person: tuple[Line, ...] = ()
    changed: tuple[Line, ...] = ()  # otherwise than the week before
    hosts: tuple[HostWeek, ...] = ()  # all of the inventory, in its order
    figures: Mapping[str, Json] = field(default_factory=dict)  # whole numbers and dollars by name, see FIGURES
    before: Mapping[str, Json] = field(default_factory=dict)  # the same of the week before; empty without one
    disks: tuple[Forecast, ...] = ()  # the one that is full first, first
    runs: tuple[RunLine, ...] = ()


FIGURES: Mapping[str, str] = {
    "hosts": "hosts in the inventory",
    "hosts_well": "hosts where everything is done or nothing was to do",
    "hosts_failed": "hosts with a failure",
    "hosts_unknown": "hosts that could not be found out about",
    "hosts_not_seen": "hosts that no run of the week was for",
    "tasks_done": "tasks done",
    "tasks_nothing": "tasks with nothing to do",
    "tasks_skipped": "tasks left alone",
    "tasks_waiting": "tasks that wait for an approval",
    "tasks_failed": "tasks failed",
    "tasks_unknown": "tasks that could not be found out about",
    "packages_upgraded": "packages upgraded",
    "packages_due": "security updates that are still due",
    "advisories": "advisories closed by the upgrades",
    "reboots_due": "hosts that need a reboot",
    "reboots": "reboots made",
    "freed_now": "bytes freed",
    "freed_at_purge": "bytes that become free at the purge",
    "purged": "items of the trash removed for good",
    "images_removed": "Docker images removed",
    "volumes_removed": "Docker volumes removed",
    "backups_good": "backup checks passed",
    "backups_bad": "backup checks failed",
    "backups_unknown": "backup checks that could not be made",
    "certificates_valid": "certificates valid",
    "certificates_bad": "certificates with a fault",
    "certificates_renewed": "certificates renewed",
    "drifted": "declared items that drifted",
    "drift_explained": "declared items whose drift is explained",
    "drift_corrected": "declared items corrected",
    "episodes_healed": "alerts healed",
    "episodes_escalated": "alerts given to a person",
    "slots_missed": "scheduled runs missed",
    "approvals_open": "plans that wait for an approval",
    "tokens": "tokens used by the model",
    "dollars": "dollars spent on the model",
}
"""Every figure of a week, with what it counts."""
