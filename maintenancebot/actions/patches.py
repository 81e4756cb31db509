"""Upgrades: all packages of a host are one step and one transaction; success is the version installed afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Change, Json, Outcome, Reason, State, Step
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.tasks import PackageUpdateTask

OP = "patches.upgrade"


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """One step for all changes of the host."""
    assert isinstance(task, PackageUpdateTask)
    if not changes:
        return []
    return [Step(f"{OP}:{task.name}", task.name, OP, tuple(changes), {"lock_timeout": task.lock_timeout_seconds})]


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """One outcome for each change; no answer, or one that contradicts itself, is unknown."""
    answers = {str(answer.get("change")): answer for answer in raw if isinstance(answer, Mapping)}
    return [_outcome(change, answers.get(change.id)) for change in step.changes]


def perform(step: Step, session: Session) -> list[Outcome]:
    """No step is made on the controller."""
    raise ValueError("packages are upgraded by the helper")


def _outcome(change: Change, answer: Mapping[str, Json] | None) -> Outcome:
    if answer is None:
        return Outcome(change.id, State.UNKNOWN, Reason.LINK_LOST, "the host gave no answer for this package")
    try:
        state, reason = State(answer["state"]), Reason(answer["reason"])
        measured = dict(answer["measured"])
    except (KeyError, TypeError, ValueError) as error:
        return Outcome(change.id, State.UNKNOWN, Reason.HELPER_ERROR, f"the answer is not as agreed: {error!r}")
    detail = str(answer.get("detail", ""))
    if state is State.DONE and measured.get("installed") != change.object["to"]:
        return Outcome(
            change.id, State.UNKNOWN, Reason.HELPER_ERROR, "done, but another version is installed", measured
        )
    return Outcome(change.id, state, reason, detail, measured)
