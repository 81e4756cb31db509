"""The literal table of task types: which code probes, plans and acts for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from maintenancebot.actions import backups as act_backups
from maintenancebot.actions import certificates as act_certificates
from maintenancebot.actions import containers as act_containers
from maintenancebot.actions import disk as act_disk
from maintenancebot.actions import drift as act_drift
from maintenancebot.actions import logs as act_logs
from maintenancebot.actions import patches as act_patches
from maintenancebot.actions import trash as act_trash
from maintenancebot.model import Change, Host, HostFacts, Json, Outcome, Step, TaskType
from maintenancebot.plan import backups as plan_backups
from maintenancebot.plan import certificates as plan_certificates
from maintenancebot.plan import containers as plan_containers
from maintenancebot.plan import drift as plan_drift
from maintenancebot.plan import logs as plan_logs
from maintenancebot.plan import patches as plan_patches
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import backups as probe_backups
from maintenancebot.probes import capture as probe_capture
from maintenancebot.probes import certificates as probe_certificates
from maintenancebot.probes import containers as probe_containers
from maintenancebot.probes import disk as probe_disk
from maintenancebot.probes import drift as probe_drift
from maintenancebot.probes import explain as probe_explain
from maintenancebot.probes import logs as probe_logs
from maintenancebot.probes import patches as probe_patches
from maintenancebot.probes import trash as probe_trash
from maintenancebot.probes.explain import Explanation
from maintenancebot.probes.trash import TrashItem
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task


class Probe(Protocol):
    """Looks at a host for one task; never changes it."""

    OP: str  # the helper's probe operation

    def request(self, task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
        """Arguments for the helper's operation; None when there is nothing to ask on this host."""
        ...

    def complete(self, task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
        """The result with what is read over the same connection or worked out on the controller."""
        ...


class Planner(Protocol):
    """Chooses changes; pure."""

    def plan(self, host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
        """Findings in, changes out, each reason for what stays in the facts."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A planner that needs to know what earlier looks saw; it finds it in the fact `remembered`, this look included."""

    KIND: str  # of the rows in the memory

    def learned(self, task: Task, result: ProbeResult, known: Mapping[str, Json], at: float) -> Mapping[str, Json]:
        """All rows to remember after this look, by key; `known` are the rows before it. Pure."""
        ...


@runtime_checkable
class Learns(Protocol):
    """Actions whose outcomes later looks need to know of; the row is kept under the change's name."""

    def learned(self, change: Change, outcome: Outcome, known: Json, at: float) -> Json:
        """The row to remember, None for none; `known` is the row before, or None. Pure."""
        ...


class Answers(Protocol):
    """Reads what the helper says of steps."""

    def outcomes(self, step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
        """The helper's answers as one outcome for each change of the step."""
        ...


@runtime_checkable
class Replies(Protocol):
    """Answers what a step on the host asks in its middle."""

    def reply(self, step: Step, question: Mapping[str, Json], host: Host, settings: Settings) -> Mapping[str, Json]:
        """The answer; one with `refused` (a reason) and `detail` says no. Never raises for what the host asks."""
        ...

    def give_up(self, host: Host) -> None:
        """The connection has ended: leave nothing behind of what was asked for and not brought to its end."""
        ...


@runtime_checkable
class Actions(Answers, Protocol):
    """Turns changes into steps and answers into outcomes."""

    def steps(self, task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
        """The steps, in the order in which they are made."""
        ...


@dataclass(frozen=True)
class Subject:
    """One row: the three parts of a task type."""

    probe: Probe
    planner: Planner
    actions: Actions


__all__ = [
    "CAPTURE_PROBE",
    "DISK",
    "DISK_PROBE",
    "EXPLAIN_PROBE",
    "SUBJECTS",
    "TRASH",
    "TRASH_PROBE",
    "Actions",
    "Answers",
    "Explanation",
    "Learns",
    "Planner",
    "Probe",
    "Remembers",
    "Replies",
    "Subject",
    "TrashItem",
]

SUBJECTS: Mapping[TaskType, Subject] = {
    TaskType.PACKAGE_UPDATE: Subject(probe_patches, plan_patches, act_patches),
    TaskType.CLEANUP: Subject(probe_logs, plan_logs, act_logs),
    TaskType.DOCKER_PRUNE: Subject(probe_containers, plan_containers, act_containers),
    TaskType.VERIFY: Subject(probe_backups, plan_backups, act_backups),
    TaskType.MONITOR: Subject(probe_certificates, plan_certificates, act_certificates),
    TaskType.DRIFT: Subject(probe_drift, plan_drift, act_drift),
}

TRASH = act_trash
"""What a person asks of the trash goes through the same gate, ledger and helper as a task."""

TRASH_PROBE = probe_trash

DISK = act_disk
"""A full file system is healed by steps of cleanup and trash."""

DISK_PROBE = probe_disk

CAPTURE_PROBE = probe_capture
"""What a baseline could declare of a host; belongs to no task."""

EXPLAIN_PROBE = probe_explain
"""Why a path would go or stay; belongs to no task."""
