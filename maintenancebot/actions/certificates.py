"""Renewals by certbot: one step for each lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Change, Json, Outcome, Reason, State, Step
from maintenancebot.settings import Settings, Task

OP = "certificates.renew"
MOST_KEPT = 20
"""Failed tries that are remembered; the last few decide."""


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """A step for each change, so that each asks for permission and is recorded by itself."""
    return [Step(id=f"renew-{change.id}", task=task.name, op=OP, changes=(change,)) for change in changes]


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """The helper's answer for each change; what was not answered, or not as agreed, is unknown."""
    answers = {str(item.get("change")): item for item in raw if isinstance(item, Mapping)}
    return [_outcome(change, answers.get(change.id)) for change in step.changes]


def learned(change: Change, outcome: Outcome, known: Json, at: float) -> Json:
    """The failed tries in a row with this certificate; None once it was renewed. What may have been a try counts."""
    measured = outcome.measured
    after = measured.get("serial_after")
    renewed = after is not None and after != measured.get("serial_before", after)
    if renewed or outcome.state in (State.DONE, State.NOTHING):
        return None
    if outcome.state is State.SKIPPED or measured.get("tried") is False:
        return known
    serial = change.object["serial"]
    tries = known["tries"] if known is not None and known["serial"] == serial else []
    return {"serial": serial, "tries": [*tries, at][-MOST_KEPT:]}


def _outcome(change: Change, answer: Mapping[str, Json] | None) -> Outcome:
    if answer is None:
        return Outcome(change.id, State.UNKNOWN, Reason.LINK_LOST, "the host gave no answer for this certificate")
    try:
        state, reason = State(answer["state"]), Reason(answer["reason"])
        measured = dict(answer.get("measured") or {})
    except (KeyError, TypeError, ValueError):
        return Outcome(change.id, State.UNKNOWN, Reason.GARBLED, "the host's answer is not as agreed")
    return Outcome(change.id, state, reason, str(answer.get("detail", "")), measured)
