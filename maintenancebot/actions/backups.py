"""Backups are looked at and never changed: there are no steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Change, Json, Outcome, Step
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """No steps; a change for this task would be a fault of ours."""
    if changes:
        raise ValueError("verify never changes a host")
    return []


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """No step, no outcomes."""
    raise ValueError("verify never changes a host")


def perform(step: Step, session: Session) -> list[Outcome]:
    """No step is made on the controller either."""
    raise ValueError("verify never changes a host")
