"""Trial restores: one step for each, into a fresh folder that goes again; nothing else of backups is ever changed."""

from __future__ import annotations

from collections.abc import Sequence

from maintenancebot.actions.answers import outcomes as outcomes
from maintenancebot.model import Change, Json, Outcome, State, Step
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.sources import BorgSource, FileSource, ResticSource, TrialRestore
from maintenancebot.settings.tasks import VerifyTask

OP = "backups.try_restore"
KEEPS = ("entries", "bytes", "seconds")


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """A step for each trial, with the source as a look is told of it."""
    assert isinstance(task, VerifyTask)
    return [Step(f"{OP}:{change.id}", task.name, OP, (change,), _args(task, change)) for change in changes]


def learned(change: Change, outcome: Outcome, known: Json, at: float) -> Json:
    """When a trial went well last, of which copy, and how the last one ended; one that was not made says nothing."""
    if outcome.state not in (State.DONE, State.FAILED) or not outcome.begun:
        return known
    row: dict[str, Json] = {
        **(known or {}),
        "state": outcome.state.value,
        "at": int(at),
        "detail": outcome.detail[:300],
    }
    if outcome.state is State.DONE:
        row |= {"good_at": int(at), "good_copy": str(change.object.get("copy", ""))}
        row |= {key: outcome.measured[key] for key in KEEPS if key in outcome.measured}
    return row


def _args(task: VerifyTask, change: Change) -> dict[str, Json]:
    """The arguments of a trial; raises ValueError when the task has no such source to try any more."""
    for source in task.sources:
        if isinstance(source, FileSource | ResticSource | BorgSource) and _is_of(source, change) and source.restore:
            return _told(source, source.restore)
    raise ValueError(f"{change.name}: the task has no such source to try any more")


def _is_of(source: FileSource | ResticSource | BorgSource, change: Change) -> bool:
    where = source.path if isinstance(source, FileSource) else source.repository
    return change.object.get("source") == (source.name or where) and change.object.get("type") == source.type


def _told(source: FileSource | ResticSource | BorgSource, trial: TrialRestore) -> dict[str, Json]:
    return {"source": source.model_dump(mode="json", exclude={"restore"}), "max_bytes": trial.max_bytes}
