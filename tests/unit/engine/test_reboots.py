"""After a reboot: a new boot id of the same machine, and all that ran before; anything less is said as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from maintenancebot.engine import probing, reboots
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Host, Outcome, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.store import Store
from tests.unit.engine.boxes import ledger_of, work
from tests.unit.engine.scripted import FACTS, Frame, Scripted, ended, facts

HOST = Host("web-1", "192.0.2.1")
MACHINE = str(FACTS["machine_id"])
REBOOT = make_change(
    "web-1", "p", Action.REBOOT_HOST, name="reboot", identity={"boot_id": "b1", "why": []}, undo=Undo.NONE
)
STEP = Step("host.reboot:p", "p", "host.reboot", (REBOOT,), {"health": {"settle_seconds": 30}})
ANNOUNCED = Outcome(REBOOT.id, State.UNKNOWN, Reason.UNFINISHED, "reboots in 5 s", {"scheduled": True})


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reboots, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(reboots, "LIMIT_SECONDS", 0.5)


def answer(boot_id: str, machine_id: str = MACHINE, **about: Any) -> list[Frame]:
    told = {"boot_id": boot_id, **about.pop("facts", {})}
    return [facts(boot_id=boot_id, machine_id=machine_id), ended("reboot_check", facts=told, **about)]


def surroundings(frames: list[Frame] | None) -> Work:
    def connect(host: Host) -> Any:
        if frames is None:
            raise RemoteError(Reason.UNREACHABLE, "Connection refused")
        return Scripted(*frames, host=HOST)

    return replace(work([]), connect=connect)


def follow(store: Store, about: Work) -> Outcome:
    ledger = ledger_of(store)
    made = {REBOOT.id: ANNOUNCED}
    with ledger.holding.host("web-1", "a test"):
        ledger.intend("web-1", MACHINE, [STEP])
        reboots.follow(HOST, MACHINE, [STEP], made, about, ledger)
    return made[REBOOT.id]


def test_a_host_that_is_back_and_well_is_done(store: Store) -> None:
    told = follow(store, surroundings(answer("b2", facts={"bad": []})))
    assert (told.state, told.reason, told.measured["boot_id"]) == (State.DONE, Reason.VERIFIED, "b2")
    assert not store.intents.unfinished()


@pytest.mark.parametrize(
    ("frames", "state", "reason", "words"),
    [
        (None, State.FAILED, Reason.NOT_BACK, "after 0.5 s: unreachable: Connection refused"),
        (answer("b1"), State.FAILED, Reason.NOT_BACK, "after 0.5 s: it answers, and has not rebooted"),
        (answer(""), State.FAILED, Reason.NOT_BACK, "after 0.5 s: it answers, and has not rebooted"),
        (
            answer("b2", "e" * 32, facts={"bad": []}),
            State.FAILED,
            Reason.NOT_BACK,
            f"after 0.5 s: another machine answers: {'e' * 32}",
        ),
        (
            answer("b2", state="unknown", reason="unfinished", detail="no record"),
            State.UNKNOWN,
            Reason.UNFINISHED,
            "rebooted; no record",
        ),
        (answer("b2", facts={"bad": [{}]}, detail="unit x"), State.FAILED, Reason.UNHEALTHY, "rebooted; unit x"),
        (answer("b2"), State.UNKNOWN, Reason.GARBLED, "rebooted; nothing is told of what ran before"),
    ],
    ids=["away", "same boot", "no boot id", "another machine", "no record", "unwell", "says nothing"],
)
def test_anything_less_is_told_as_it_is(
    frames: list[Frame] | None, state: State, reason: Reason, words: str, store: Store
) -> None:
    told = follow(store, surroundings(frames))
    assert (told.state, told.reason, told.detail) == (state, reason, words)


def test_a_run_that_is_ended_leaves_it_open_for_the_next_start(store: Store) -> None:
    about = surroundings(None)
    about.stop.set()
    told = follow(store, about)
    assert (told.state, told.reason) == (State.UNKNOWN, Reason.UNFINISHED)
    assert [intent.change.id for intent in store.intents.unfinished()] == [REBOOT.id]


def test_a_slow_boot_has_time_to_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []
    ask: Callable[..., Any] = probing.ask_one

    def noted(*words: Any, deadline: float) -> Any:
        given.append(deadline)
        return ask(*words, deadline=deadline)

    monkeypatch.setattr(probing, "ask_one", noted)
    about = surroundings(answer("b2", facts={"bad": []}))
    follow(store, about)
    assert given == [reboots.BOOT_SECONDS + 30]
    assert reboots.longest([STEP], about) == reboots.LIMIT_SECONDS + reboots.BOOT_SECONDS + 30
