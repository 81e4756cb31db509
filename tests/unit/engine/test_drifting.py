"""What the second look says decides: a change that says it is done, and is not seen, is no success."""

from __future__ import annotations

from typing import Any

import pytest

from maintenancebot.engine import drifting
from maintenancebot.engine.probing import Looked
from maintenancebot.model import (
    Action,
    Change,
    ChangeReport,
    Host,
    HostReport,
    Json,
    Reason,
    State,
    TaskReport,
    TaskType,
    Undo,
)
from maintenancebot.plan.document import HostPlan, TaskPlan
from tests.unit.engine.boxes import clock

HOST = Host("web-1", "192.0.2.1")
ITEM = "file:/etc/motd"
DONE = (State.DONE, Reason.VERIFIED)


def change(name: str = ITEM) -> Change:
    return Change(name, "drift", Action.CORRECT_FILE, name, {}, Undo.TRASH)


def report(*made: tuple[State, Reason], state: State = State.DONE) -> HostReport:
    changes = tuple(ChangeReport(change(), *one, detail="words") for one in made)
    task = TaskReport("drift", TaskType.DRIFT, state, Reason.NONE, "as planned", changes, {"drifted": []})
    return HostReport("web-1", state, tasks=(task,))


def seen(state: State, reason: Reason, *changes: Change, **facts: Json) -> Looked:
    task = TaskPlan("drift", TaskType.DRIFT, state, reason, "seen", changes, facts)
    return Looked(HOST, HostPlan("web-1", "m1", "b1", clock(), 0.0, (task,)))


AS_DECLARED = seen(State.NOTHING, Reason.AS_DECLARED)


def verdict(found: HostReport, after: Looked) -> tuple[State, Reason]:
    told = drifting.verdict(found, after)
    assert (told.state, told.reason) == (told.tasks[0].state, told.tasks[0].reason)
    return told.state, told.reason


def test_what_was_corrected_and_is_seen_as_declared_is_done() -> None:
    assert verdict(report(DONE), AS_DECLARED) == DONE
    assert verdict(report(DONE), seen(State.NOTHING, Reason.EXPLAINED)) == DONE


@pytest.mark.parametrize("bad", [(State.FAILED, Reason.REVERTED), (State.UNKNOWN, Reason.LINK_LOST)])
def test_what_went_wrong_stands_over_what_is_seen(bad: tuple[State, Reason]) -> None:
    assert verdict(report(DONE, bad), AS_DECLARED) == bad


@pytest.mark.parametrize("kind", ["corrected", "contested", "drifted", "unreadable"])
def test_what_is_other_again_at_once_is_contested(kind: str) -> None:
    after = seen(State.FAILED, Reason.DRIFTED, **{kind: [{"item": ITEM}]})
    assert verdict(report(DONE), after) == (State.FAILED, Reason.CONTESTED)


def test_what_waits_or_was_refused_stands_over_what_is_left() -> None:
    left: dict[str, Any] = {"drifted": [{"item": "file:/etc/issue"}]}
    after = seen(State.FAILED, Reason.DRIFTED, **left)
    waits, refused = (State.WAITING, Reason.NEEDS_APPROVAL), (State.SKIPPED, Reason.CHANGED_SINCE)
    assert verdict(report(DONE, refused, waits), after) == waits
    assert verdict(report(DONE, refused), after) == refused
    assert verdict(report(DONE), after) == (State.FAILED, Reason.DRIFTED)


def test_new_drift_is_told_and_not_corrected_in_the_same_go() -> None:
    other = change("file:/etc/issue")
    assert verdict(report(DONE), seen(State.PLANNED, Reason.NONE, other)) == (State.FAILED, Reason.DRIFTED)


def test_a_host_that_is_gone_afterwards_is_unknown() -> None:
    gone = Looked(HOST, reason=Reason.UNREACHABLE, detail="no route")
    assert verdict(report(DONE), gone) == (State.UNKNOWN, Reason.UNREACHABLE)


def test_the_report_has_the_facts_of_the_second_look() -> None:
    told = drifting.verdict(report(DONE), seen(State.NOTHING, Reason.AS_DECLARED, items=3, matches=3, corrected=[]))
    assert told.tasks[0].facts == {"drifted": [], "items": 3, "matches": 3}
