"""Corrections: changes into steps with what is to be installed, and the helper's answers into outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Change, Json, Outcome, Step
from maintenancebot.settings import Settings, Task

OP = "drift.correct"


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """One step for each item."""
    return []


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """The helper's answers."""
    return []
