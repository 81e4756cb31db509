"""Upgrades go in waves over hosts that answer by the real protocol; what need not wait does not wait."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from maintenancebot.catalog import SUBJECTS
from maintenancebot.engine import waves
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.making import Job
from maintenancebot.engine.waves import Turn
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Host, Outcome, Reason, State, Step, TaskType, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.settings import Waves
from maintenancebot.store import Store
from tests.unit.engine.boxes import clock, ledger_of, work
from tests.unit.engine.scripted import Frame, Scripted, facts

ACTING = {
    "patches": SUBJECTS[TaskType.PACKAGE_UPDATE].actions,
    "logs": SUBJECTS[TaskType.CLEANUP].actions,
}


class Ward:
    """Hosts whose upgrades end as the test says, and the order in which they were begun."""

    def __init__(self, **endings: State | None) -> None:
        self.endings = endings
        self.begun: list[str] = []
        self.steps: dict[str, list[Step]] = {}
        self._lock = threading.Lock()

    def connect(self, host: Host) -> Any:
        if self.endings.get(host.name, State.DONE) is None:
            raise RemoteError(Reason.UNREACHABLE, "no route")
        with self._lock:
            if host.name in self.begun:  # a later connection tries whether logins still work
                return Scripted(facts(), host=host)
            self.begun.append(host.name)
        return Scripted(*self._frames(host), host=host)

    def _frames(self, host: Host) -> Sequence[Frame]:
        frames: list[Frame] = [facts()]
        for step in self.steps[host.name]:
            outcome = {"change": step.changes[0].id, "state": "done", "reason": "verified", "detail": ""}
            outcome["measured"] = {"installed": "2"}  # type: ignore[assignment]
            if step.task == "patches" and self.endings.get(host.name) is State.FAILED:
                outcome.update(state="failed", reason="unhealthy")
            frames += [("step", {"step": step.id}), ("hear", None)]
            frames.append(("outcome", {"step": step.id, "outcomes": [outcome]}))
        return frames

    def turn(self, name: str, rules: Waves | None, *, also: bool = False, release: str = "12", **host: Any) -> Turn:
        steps = [_step(name, "logs", Action.QUARANTINE_FILE, "trash.move")] if also or rules is None else []
        if rules is not None:
            steps.append(_step(name, "patches", Action.UPGRADE_PACKAGE, "patches.upgrade"))
        self.steps[name] = steps
        return Turn(Job(Host(name, "192.0.2.1", **host), "f" * 32, steps, ACTING), release, rules)


def _step(host: str, task: str, action: Action, op: str) -> Step:
    change = make_change(host, task, action, name="x", identity={"path": "/var/log/x", "to": "2"}, undo=Undo.NONE)
    return Step(f"{op}:{change.id}", task, op, (change,))


def make(ward: Ward, turns: list[Turn], store: Store, down: frozenset[str] = frozenset()) -> dict[str, list[Outcome]]:
    surroundings = replace(work([]), connect=ward.connect, now=lambda: datetime.now(UTC))
    ledger = ledger_of(store)
    made = waves.make(turns, down, surroundings, ledger, Brakes(surroundings, ledger))
    return {name: list(outcomes.values()) for name, outcomes in made.items()}


def short(outcomes: list[Outcome]) -> list[tuple[State, Reason]]:
    return [(outcome.state, outcome.reason) for outcome in outcomes]


DONE = (State.DONE, Reason.VERIFIED)


def test_the_canary_is_alone_and_the_rest_follows(store: Store) -> None:
    ward = Ward()
    made = make(ward, [ward.turn(f"h{n}", Waves(cap=4)) for n in range(4)], store)
    assert ward.begun[:2] == ["h0", "h1"]
    assert sorted(ward.begun) == ["h0", "h1", "h2", "h3"]
    assert all(short(outcomes) == [DONE] for outcomes in made.values())


def test_a_failed_canary_stops_the_upgrades_but_not_the_other_work(store: Store) -> None:
    ward = Ward(h0=State.FAILED)
    turns = [ward.turn(f"h{n}", Waves(), also=n == 2) for n in range(3)] + [ward.turn("plain", None)]
    made = make(ward, turns, store)
    assert short(made["h0"]) == [(State.FAILED, Reason.UNHEALTHY)]
    assert short(made["h1"]) == [(State.SKIPPED, Reason.WAVE_STOPPED)]
    assert made["h1"][0].detail == "failed: h0; 0 may fail"
    assert short(made["h2"]) == [DONE, (State.SKIPPED, Reason.WAVE_STOPPED)]
    assert short(made["plain"]) == [DONE]
    assert "h1" not in ward.begun
    assert not store.intents.unfinished()


def test_what_need_not_wait_goes_beside_the_first_wave(store: Store) -> None:
    ward = Ward()
    make(ward, [ward.turn("h0", Waves()), ward.turn("h1", Waves()), ward.turn("plain", None)], store)
    assert set(ward.begun[:2]) == {"h0", "plain"}


def test_an_unreachable_canary_costs_no_budget_and_is_replaced(store: Store) -> None:
    ward = Ward(h0=None)
    made = make(ward, [ward.turn(f"h{n}", Waves()) for n in range(4)], store)
    assert short(made["h0"]) == [(State.FAILED, Reason.UNREACHABLE)]
    assert ward.begun[:2] == ["h1", "h2"]
    assert short(made["h3"]) == [DONE]


def test_a_quorum_group_with_a_host_down_is_left_alone(store: Store) -> None:
    ward = Ward()
    turns = [ward.turn("e1", Waves(), quorum="etcd"), ward.turn("w1", Waves())]
    made = make(ward, turns, store, frozenset({"etcd"}))
    assert short(made["e1"]) == [(State.SKIPPED, Reason.QUORUM)]
    assert made["e1"][0].detail == "another host of etcd is down, not well, or in maintenance"
    assert short(made["w1"]) == [DONE]


def test_each_task_has_its_own_limit_of_failures(store: Store) -> None:
    ward = Ward(a0=State.FAILED)
    strict, lenient = Waves(canaries=False), Waves(canaries=False, max_failures=1)
    turns = [ward.turn("a0", strict), ward.turn("a1", strict), ward.turn("b0", lenient)]
    made = make(ward, turns, store)
    assert short(made["a1"]) == [(State.SKIPPED, Reason.WAVE_STOPPED)]
    assert short(made["b0"]) == [DONE], "one failure is no more than this task allows"


def test_after_a_stop_nobody_is_even_connected_to(store: Store) -> None:
    ward = Ward()
    turns = [ward.turn(f"h{n}", Waves()) for n in range(4)]
    store.guard.stop("test", by="ann", at=clock())
    made = make(ward, turns, store)
    assert [short(made[f"h{n}"]) for n in range(4)] == [[(State.SKIPPED, Reason.STOPPED)]] * 4
    assert ward.begun == []


@pytest.mark.parametrize(("count", "words"), [(1, ""), (3, "upgrades begin with h0; 2 more follow in waves")])
def test_the_plan_says_who_is_first(count: int, words: str) -> None:
    ward = Ward()
    assert waves.in_words([ward.turn(f"h{n}", Waves()) for n in range(count)], frozenset()) == words


def test_the_rest_after_an_interrupted_host_is_interrupted_too(store: Store) -> None:
    ward = Ward(h0=State.FAILED)
    surroundings = replace(work([]), connect=ward.connect, now=lambda: datetime.now(UTC))
    ledger = ledger_of(store)
    turns = [ward.turn(f"h{n}", Waves()) for n in range(3)]
    brakes = Brakes(surroundings, ledger)
    surroundings.progress.after = lambda host, name: surroundings.stop.set()  # type: ignore[attr-defined]
    made = waves.make(turns, frozenset(), surroundings, ledger, brakes)
    assert [short(list(made[f"h{n}"].values())) for n in (1, 2)] == [[(State.SKIPPED, Reason.INTERRUPTED)]] * 2
