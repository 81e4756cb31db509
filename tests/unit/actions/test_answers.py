"""What a host says of a step becomes outcomes, and never a success that it did not clearly tell."""

from __future__ import annotations

import pytest

from maintenancebot.actions import answers
from maintenancebot.model import Action, Json, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change


@pytest.mark.parametrize(
    ("raw", "state", "reason"),
    [
        (
            [{"change": "{id}", "state": "done", "reason": "verified", "measured": {"x": 1}}],
            State.DONE,
            Reason.VERIFIED,
        ),
        ([], State.UNKNOWN, Reason.GARBLED),
        ([{"change": "another", "state": "done", "reason": "verified"}], State.UNKNOWN, Reason.GARBLED),
        ([{"change": "{id}", "state": "splendid", "reason": ""}], State.UNKNOWN, Reason.GARBLED),
        ([{"change": "{id}", "state": "done", "reason": "trust me"}], State.UNKNOWN, Reason.GARBLED),
        ([{"change": "{id}", "state": "done"}], State.UNKNOWN, Reason.GARBLED),
        (["done"], State.UNKNOWN, Reason.GARBLED),
    ],
)
def test_answers_become_outcomes(raw: list[Json], state: State, reason: Reason) -> None:
    change = make_change("web-1", "logs", Action.QUARANTINE_FILE, name="/srv/a.log", identity={}, undo=Undo.TRASH)
    step = Step("s", "logs", "trash.move", (change,))
    said = [{**one, "change": change.id} if isinstance(one, dict) and one["change"] == "{id}" else one for one in raw]
    (found,) = answers.outcomes(step, said)
    assert (found.change_id, found.state, found.reason) == (change.id, state, reason)
