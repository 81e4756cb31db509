"""A new login counts when it comes up to a helper that runs as root; an upgrade that locks everybody out is bad."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from maintenancebot.engine import logins
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Host, Outcome, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change
from tests.unit.engine.boxes import work
from tests.unit.engine.scripted import FACTS, Frame, Scripted, facts

MACHINE = FACTS["machine_id"]
HOST = Host("web-1", "192.0.2.1")


class Door:
    """Takes logins from the nth on; what answers then are frames of the test's choice."""

    def __init__(self, opens_at: int, *answers: Frame) -> None:
        self.opens_at, self.asked = opens_at, 0
        self.answers = answers or (facts(),)

    def connect(self, _host: Host) -> Any:
        self.asked += 1
        if self.asked < self.opens_at:
            raise RemoteError(Reason.LOGIN_REFUSED, "publickey refused")
        return Scripted(*self.answers)

    @property
    def work(self) -> Work:
        return replace(work([]), connect=self.connect)


def check(door: Door, state: State, action: Action = Action.UPGRADE_PACKAGE) -> Outcome:
    change = make_change("web-1", "p", action, name="x=2", identity={"package": "x"}, undo=Undo.NONE)
    step, outcome = Step("s", "p", "op", (change,)), Outcome(change.id, state, Reason.VERIFIED)
    (told,) = logins.checked(HOST, MACHINE, step, [outcome], door.work)
    return told


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "UPGRADE_PAUSES", (0.01,) * len(logins.UPGRADE_PAUSES))
    monkeypatch.setattr(logins, "CORRECTION_PAUSES", (0.01,) * len(logins.CORRECTION_PAUSES))


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


def test_a_step_that_asks_is_told_of_a_login_that_came_all_the_way() -> None:
    door = Door(opens_at=2)
    assert logins.answer(HOST, MACHINE, door.work) == {"ok": True, "detail": ""}
    assert door.asked == 2


def test_a_host_that_lets_nobody_in_is_asked_less_long_after_a_correction_than_after_an_upgrade() -> None:
    corrected, upgraded = Door(opens_at=99), Door(opens_at=99)
    told = logins.answer(HOST, MACHINE, corrected.work)
    check(upgraded, State.DONE)
    assert told == {"ok": False, "detail": "login_refused: publickey refused"}
    assert (corrected.asked, upgraded.asked) == (3, 4)


def test_a_login_without_root_is_none() -> None:
    told = logins.answer(HOST, MACHINE, Door(1, facts(uid=1000)).work)
    assert told == {"ok": False, "detail": "become_refused: the login does not become root"}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (("refused", {"reason": "machine_changed", "detail": "machine-id is 1"}), "machine_changed: machine-id is 1"),
        (("unsupported", {"lacks": ["json"], "python": "3.11"}), "unsupported: lacks json (python 3.11)"),
    ],
)
def test_a_login_behind_which_no_helper_runs_is_none(answer: Frame, why: str) -> None:
    assert logins.answer(HOST, MACHINE, Door(1, answer).work) == {"ok": False, "detail": why}


def test_where_there_is_no_login_none_is_taken_for_good() -> None:
    here, door = Host("here", "local", connection="local"), Door(1)
    told = logins.answer(here, MACHINE, door.work)
    assert (told["ok"], door.asked) == (False, 0)
