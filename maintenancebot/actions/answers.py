"""Reads what a host says of a step, with distrust: whoever says nothing, or says it oddly, has not succeeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Change, Json, Outcome, Reason, State, Step


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """One outcome for each change of the step; without an answer, or with an odd one, it is unknown."""
    answers = {str(answer.get("change", "")): answer for answer in raw if isinstance(answer, Mapping)}
    return [_outcome(change, answers.get(change.id)) for change in step.changes]


def _outcome(change: Change, answer: Mapping[str, Json] | None) -> Outcome:
    if answer is None:
        return Outcome(change.id, State.UNKNOWN, Reason.GARBLED, "the host gave no answer for this change")
    try:
        state, reason = State(answer["state"]), Reason(answer["reason"])
        measured = dict(answer.get("measured") or {})
    except (KeyError, ValueError, TypeError) as error:
        return Outcome(change.id, State.UNKNOWN, Reason.GARBLED, f"an odd answer: {error}")
    return Outcome(change.id, state, reason, str(answer.get("detail", "")), measured)
