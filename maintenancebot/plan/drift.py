"""Judges how a host differs from its declared state, and plans the corrections that are allowed."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Host, HostFacts, Json, Reason, State
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DriftTask, Settings, Task

KIND = "drift"
"""Of the rows in the memory: by item, when it was corrected and what was replaced."""


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """The verdict over all items, and a correction for each that may be corrected."""
    assert isinstance(task, DriftTask)
    return TaskPlan(task.name, task.type, State.NOTHING, Reason.AS_DECLARED)


def learned(task: Task, result: ProbeResult, known: Mapping[str, Json], at: float) -> Mapping[str, Json]:
    """The corrections to remember."""
    return dict(known)
