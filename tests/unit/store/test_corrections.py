"""Fights are known by what was recorded around each correction, whoever died between."""

from __future__ import annotations

from datetime import timedelta

import pytest

from maintenancebot.model import Action, Outcome, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.store import Store
from tests.unit.engine.boxes import clock


def intended(store: Store, host: str = "web-1", op: str = "correct") -> str:
    change = make_change(
        host, "drift", Action.CORRECT_FILE, name="file:/etc/motd", identity={"name": "/etc/motd"}, undo=Undo.TRASH
    )
    step = Step(f"{op}-{change.id}", "drift", "drift.correct", (change,))
    store.intents.record("r1", host, "d", [step], at=clock())
    return change.id


def ended(store: Store, state: State, reason: Reason = Reason.NONE) -> None:
    change = intended(store)
    store.intents.close("r1", [Outcome(change, state, reason)], host="web-1", at=clock())


def held(store: Store) -> list[bool]:
    found = store.corrections.since(["web-1"], clock() - timedelta(days=1))
    return [one.held for one in found.get("web-1", [])]


@pytest.mark.parametrize(
    ("ended_as", "reason", "expected"),
    [
        (State.DONE, Reason.VERIFIED, [True]),
        (State.FAILED, Reason.REVERTED, [False]),
        (State.FAILED, Reason.REVERT_FAILED, [False]),
        (State.UNKNOWN, Reason.LINK_LOST, [False]),
        (State.FAILED, Reason.CONFIG_INVALID, []),
        (State.FAILED, Reason.UNREACHABLE, []),
        (State.SKIPPED, Reason.CHANGED_SINCE, []),
    ],
)
def test_what_was_made_or_may_have_been_counts(
    store: Store, ended_as: State, reason: Reason, expected: list[bool]
) -> None:
    ended(store, ended_as, reason)
    assert held(store) == expected


def test_what_has_no_outcome_yet_may_have_been_made(store: Store) -> None:
    intended(store)
    assert held(store) == [False]


def test_other_hosts_and_other_work_are_not_among_them(store: Store) -> None:
    intended(store, host="web-2")
    intended(store, op="compress")
    assert held(store) == []


def test_what_ended_before_is_over(store: Store) -> None:
    ended(store, State.DONE)
    assert store.corrections.since(["web-1"], clock() + timedelta(seconds=1)) == {}
