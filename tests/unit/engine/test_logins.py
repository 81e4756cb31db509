"""An upgrade that locks everybody out is bad, whatever the packages' versions say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maintenancebot.engine import logins
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Host, Outcome, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change
from tests.unit.engine.boxes import work

HOST = Host("web-1", "192.0.2.1")


class Door:
    """Takes logins from the nth on."""

    def __init__(self, opens_at: int) -> None:
        self.opens_at, self.asked = opens_at, 0

    def connect(self, _host: Host) -> Any:
        self.asked += 1
        if self.asked < self.opens_at:
            raise RemoteError(Reason.LOGIN_REFUSED, "publickey refused")
        return self

    def close(self) -> None:
        pass


def check(door: Door, state: State, action: Action = Action.UPGRADE_PACKAGE) -> Outcome:
    change = make_change("web-1", "p", action, name="x=2", identity={"package": "x"}, undo=Undo.NONE)
    step, outcome = Step("s", "p", "op", (change,)), Outcome(change.id, state, Reason.VERIFIED)
    (told,) = logins.checked(HOST, step, [outcome], replace(work([]), connect=door.connect))
    return told


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "PAUSE_SECONDS", 0.01)


def test_a_login_that_works_changes_nothing() -> None:
    door = Door(opens_at=1)
    assert (check(door, State.DONE).state, door.asked) == (State.DONE, 1)


def test_a_restarting_server_is_given_a_while() -> None:
    door = Door(opens_at=3)
    assert (check(door, State.DONE).state, door.asked) == (State.DONE, 3)


def test_a_host_that_takes_no_login_any_more_is_not_well() -> None:
    told = check(Door(opens_at=99), State.DONE)
    assert (told.state, told.reason) == (State.FAILED, Reason.UNHEALTHY)
    assert told.detail == (
        "new logins fail since the upgrade: login_refused: publickey refused; the run's own connection still stands"
    )


@pytest.mark.parametrize(
    ("state", "action"), [(State.FAILED, Action.UPGRADE_PACKAGE), (State.DONE, Action.COMPRESS_FILE)]
)
def test_other_outcomes_ask_for_no_login(state: State, action: Action) -> None:
    door = Door(opens_at=99)
    assert (check(door, state, action).state, door.asked) == (state, 0)
