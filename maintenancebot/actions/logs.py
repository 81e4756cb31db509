"""Cleanup: one step for each file, so that the kill switch is asked before each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.actions import trash
from maintenancebot.model import Action, Change, Json, Outcome, Step
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task

OPS = {Action.COMPRESS_FILE: "logs.compress", Action.QUARANTINE_FILE: "trash.move"}


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """The steps in the plan's order; the rules travel with them and are asked again on the host."""
    deletion = settings.deletion
    args = {"allow": list(deletion.allow), "protect": list(deletion.protect), "keep_days": deletion.keep_days}
    return [Step(f"{OPS[c.action]}:{c.id}", task.name, OPS[c.action], (c,), args) for c in changes]


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """One outcome for each change of the step; without an answer it is unknown."""
    return trash.outcomes(step, raw)


def perform(step: Step, session: Session) -> list[Outcome]:
    """No step is made on the controller."""
    raise ValueError("cleanup works on the host")
