"""Corrections: changes into steps with what is to be installed, and the helper's answers into outcomes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from maintenancebot.model import Change, Json, Outcome, Reason, State, Step
from maintenancebot.settings import DriftTask, Settings, Task

OP = "drift.correct"


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """One step for each item, so that each asks for permission and is recorded by itself."""
    assert isinstance(task, DriftTask)
    contents = {item.id: item.content for item in task.items if item.content is not None}
    args: dict[str, Json] = {
        "revert_seconds": settings.remediation.drift.revert_seconds,
        "keep_days": settings.deletion.keep_days,  # of what is replaced, in the trash
    }
    return [
        Step(
            id=f"correct-{change.id}",
            task=task.name,
            op=OP,
            changes=(change,),
            args={**args, **_content(contents.get(change.name))},
        )
        for change in changes
    ]


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """The helper's answer for each change; what was not answered, or not as agreed, is unknown."""
    answers = {str(item.get("change")): item for item in raw if isinstance(item, Mapping)}
    return [_outcome(change, answers.get(change.id)) for change in step.changes]


def _content(content: bytes | None) -> dict[str, Json]:
    return {} if content is None else {"content": base64.b64encode(content).decode("ascii")}


def _outcome(change: Change, answer: Mapping[str, Json] | None) -> Outcome:
    if answer is None:
        return Outcome(change.id, State.UNKNOWN, Reason.LINK_LOST, "the host gave no answer for this item")
    try:
        state, reason = State(answer["state"]), Reason(answer["reason"])
        measured = dict(answer.get("measured") or {})
    except (KeyError, TypeError, ValueError):
        return Outcome(change.id, State.UNKNOWN, Reason.GARBLED, "the host's answer is not as agreed")
    return Outcome(change.id, state, reason, str(answer.get("detail", "")), measured)
