"""The trash: steps that restore and purge items, and how the helper's answers about files are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Action, Change, Json, Outcome, Reason, Risk, State, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.probes.trash import TrashItem
from maintenancebot.settings import Caps

TASK = "trash"
RESTORE = "trash.restore"
PURGE = "trash.purge"


def restore_step(item: TrashItem, to: str = "") -> Step:
    """Bring an item back to its place, or to another path; nothing is ever overwritten."""
    change = make_change(
        item.host,
        TASK,
        Action.RESTORE_FILE,
        name=to or item.path,
        identity={"item": item.id, "to": to},
        undo=Undo.NONE,
        note="the next run leaves it alone for a week, or until it changes",
    )
    return Step(f"{RESTORE}:{change.id}", TASK, RESTORE, (change,))


def purge_step(item: TrashItem, caps: Caps) -> Step:
    """Delete an item's bytes for good; the host refuses before its time, and above the caps of one execution."""
    change = make_change(
        item.host,
        TASK,
        Action.PURGE_ITEM,
        name=item.path,
        identity={"item": item.id, **{key: item.identity.get(key) for key in ("ino", "size")}},
        undo=Undo.NONE,
        risk=Risk.HIGH,
        effect={"freed_now": item.allocated, "freed_at_purge": 0},
        note="cannot be undone",
    )
    args = {"cap_files": caps.files, "cap_bytes": caps.bytes}
    return Step(f"{PURGE}:{change.id}", TASK, PURGE, (change,), args)


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """The helper's answers as outcomes, one for each change of the step; no answer, or an odd one, is unknown."""
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
