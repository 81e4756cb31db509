"""The worst part decides a state, and the commonest reason among the worst parts is its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from maintenancebot.engine import reporting
from maintenancebot.engine.probing import Looked
from maintenancebot.model import Action, Decision, Host, HostReport, Outcome, Reason, State, TaskReport, TaskType, Undo
from maintenancebot.plan.document import HostPlan, TaskPlan, make_change
from maintenancebot.report import people as people_lines

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DONE, SKIPPED, FAILED, UNKNOWN = State.DONE, State.SKIPPED, State.FAILED, State.UNKNOWN
CHANGES = tuple(
    make_change("web-1", "logs", Action.QUARANTINE_FILE, name=f"/{n}", identity={"path": f"/{n}"}, undo=Undo.TRASH)
    for n in range(4)
)

Part = tuple[State, Reason]


def host_plan(*tasks: TaskPlan) -> HostPlan:
    return HostPlan("web-1", "m" * 32, "b1", NOON, 0.0, tasks, {"hostname": "web"})


def task(*parts: Part, facts: dict[str, Any] | None = None, measured: dict[str, Any] | None = None) -> TaskReport:
    """A task whose changes had these outcomes."""
    plan = TaskPlan("logs", TaskType.CLEANUP, State.PLANNED, changes=CHANGES[: len(parts)], facts=facts or {})
    outcomes = {
        change.id: Outcome(change.id, state, reason, measured=measured or {})
        for change, (state, reason) in zip(CHANGES, parts, strict=False)
    }
    (report,) = reporting.with_plan(host_plan(plan), {}, outcomes).tasks
    return report


def host(*parts: Part) -> HostReport:
    """A host whose tasks ended like this, without changes."""
    tasks = (TaskPlan(f"task-{n}", TaskType.VERIFY, state, reason) for n, (state, reason) in enumerate(parts))
    return reporting.with_plan(host_plan(*tasks), {}, {})


ALL = [
    ([(DONE, Reason.VERIFIED)], (DONE, Reason.VERIFIED)),
    ([(DONE, Reason.VERIFIED), (State.NOTHING, Reason.ALREADY_GONE)], (DONE, Reason.VERIFIED)),
    ([(DONE, Reason.VERIFIED), (SKIPPED, Reason.IN_USE)], (SKIPPED, Reason.IN_USE)),
    ([(SKIPPED, Reason.IN_USE), (State.WAITING, Reason.NEEDS_APPROVAL)], (State.WAITING, Reason.NEEDS_APPROVAL)),
    ([(State.WAITING, Reason.NEEDS_APPROVAL), (UNKNOWN, Reason.HUNG)], (UNKNOWN, Reason.HUNG)),
    ([(UNKNOWN, Reason.HUNG), (FAILED, Reason.NO_SPACE), (DONE, Reason.VERIFIED)], (FAILED, Reason.NO_SPACE)),
    ([(FAILED, Reason.READ_ONLY), (FAILED, Reason.NO_SPACE), (FAILED, Reason.NO_SPACE)], (FAILED, Reason.NO_SPACE)),
    ([(FAILED, Reason.READ_ONLY), (FAILED, Reason.NO_SPACE)], (FAILED, Reason.READ_ONLY)),
    ([(State.NOTHING, Reason.UP_TO_DATE)], (State.NOTHING, Reason.UP_TO_DATE)),
]


@pytest.mark.parametrize(("parts", "whole"), ALL)
def test_the_worst_change_decides_a_task(parts: list[Part], whole: Part) -> None:
    report = task(*parts)
    assert (report.state, report.reason) == whole


@pytest.mark.parametrize(("parts", "whole"), ALL)
def test_the_worst_task_decides_a_host(parts: list[Part], whole: Part) -> None:
    report = host(*parts)
    assert (report.state, report.reason) == whole


def test_a_host_without_tasks_has_nothing_to_do() -> None:
    assert (host().state, host().reason) == (State.NOTHING, Reason.NONE)


def test_outcomes_stand_over_decisions_and_decisions_over_the_plan() -> None:
    plan = host_plan(TaskPlan("logs", TaskType.CLEANUP, State.PLANNED, detail="3 matched", changes=CHANGES[:3]))
    decisions = {
        CHANGES[0].id: Decision(CHANGES[0].id, State.PLANNED),
        CHANGES[1].id: Decision(CHANGES[1].id, SKIPPED, Reason.PROTECTED, "protected by *.key"),
        CHANGES[2].id: Decision(CHANGES[2].id, State.PLANNED),
    }
    outcomes = {CHANGES[0].id: Outcome(CHANGES[0].id, DONE, Reason.VERIFIED, "", {"freed_now": 3})}
    report = reporting.with_plan(plan, decisions, outcomes)
    assert [(c.state, c.reason, c.detail) for c in report.tasks[0].changes] == [
        (DONE, Reason.VERIFIED, ""),
        (SKIPPED, Reason.PROTECTED, "protected by *.key"),
        (State.PLANNED, Reason.NONE, ""),
    ]
    assert (report.tasks[0].state, report.tasks[0].detail) == (SKIPPED, "3 matched")


@pytest.mark.parametrize(
    ("verdict", "state"), [("failed", FAILED), ("unknown", UNKNOWN), ("nothing", DONE), ("", DONE)]
)
def test_a_bad_verdict_is_not_hidden_by_changes_that_went_well(verdict: str, state: State) -> None:
    report = task((DONE, Reason.VERIFIED), facts={"verdict_state": verdict})
    assert report.state is state


UNCURED = {"failed_unless_done": {"reason": "expired", "detail": "it has expired"}}


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        ((DONE, Reason.VERIFIED), (DONE, Reason.VERIFIED, "")),
        ((State.PLANNED, Reason.NONE), (State.PLANNED, Reason.NONE, "")),
        ((SKIPPED, Reason.OBSERVE_ONLY), (FAILED, Reason.EXPIRED, "it has expired")),
        ((State.NOTHING, Reason.NOT_DUE), (FAILED, Reason.EXPIRED, "it has expired")),
        ((State.WAITING, Reason.NEEDS_APPROVAL), (FAILED, Reason.EXPIRED, "it has expired")),
        ((UNKNOWN, Reason.LINK_LOST), (FAILED, Reason.EXPIRED, "it has expired")),
        ((FAILED, Reason.RENEWAL_FAILED), (FAILED, Reason.RENEWAL_FAILED, "it has expired")),
    ],
)
def test_what_a_change_was_to_cure_stays_a_failure_where_it_was_not_made(part: Part, whole: tuple[str, ...]) -> None:
    report = task(part, facts=UNCURED)
    assert (report.state, report.reason, report.detail) == whole


LEFT_ALONE = {"failed_if_left_alone": "drifted"}


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([(SKIPPED, Reason.IMMUTABLE)], (FAILED, Reason.DRIFTED, "1 left alone by the host: /0 (immutable)")),
        (
            [(DONE, Reason.VERIFIED), (SKIPPED, Reason.CHANGED_SINCE)],
            (FAILED, Reason.DRIFTED, "1 left alone by the host: /1 (changed_since)"),
        ),
        ([(SKIPPED, Reason.STOPPED)], (SKIPPED, Reason.STOPPED, "")),
        ([(SKIPPED, Reason.BUSY)], (SKIPPED, Reason.BUSY, "")),
        ([(State.NOTHING, Reason.AS_DECLARED)], (State.NOTHING, Reason.AS_DECLARED, "")),
    ],
)
def test_what_the_host_leaves_alone_is_a_failure_where_the_planner_says_so(
    parts: list[Part], whole: tuple[str, ...]
) -> None:
    report = task(*parts, facts=LEFT_ALONE)
    assert (report.state, report.reason, report.detail) == whole
    told = people_lines.lines([HostReport("web-1", report.state, report.reason, tasks=(report,))])
    assert any("left alone by the host" in line for line in told) is (report.state is FAILED)


def test_a_worse_verdict_keeps_its_reason_beside_what_was_left_alone() -> None:
    facts = {**LEFT_ALONE, "verdict_state": "failed", "verdict_reason": "contested"}
    report = task((SKIPPED, Reason.IN_USE), facts=facts)
    assert (report.state, report.reason, report.detail) == (
        FAILED,
        Reason.CONTESTED,
        "1 left alone by the host: /0 (in_use)",
    )


def test_what_the_gate_refuses_says_so_itself() -> None:
    plan = host_plan(TaskPlan("drift", TaskType.DRIFT, State.PLANNED, changes=CHANGES[:1], facts=LEFT_ALONE))
    refused = {CHANGES[0].id: Decision(CHANGES[0].id, SKIPPED, Reason.PROTECTED)}
    assert reporting.with_plan(plan, refused, {}).tasks[0].state is SKIPPED


def test_freed_bytes_are_the_sum_of_what_was_measured() -> None:
    parts = [(DONE, Reason.VERIFIED)] * 3
    assert task(*parts, measured={"freed_now": 5, "freed_at_purge": 7}).facts == {"freed_now": 15, "freed_at_purge": 21}
    assert task(*parts).facts == {}, "what nobody measured is no figure"


def test_freed_bytes_can_be_negative() -> None:
    assert task((DONE, Reason.VERIFIED), measured={"freed_now": -4096}).facts == {"freed_now": -4096}


def test_a_host_report_says_which_machine_it_was() -> None:
    assert host().facts == {"hostname": "web", "machine_id": "m" * 32, "boot_id": "b1"}


@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.HUNG, Reason.GARBLED, Reason.INTERNAL_ERROR])
def test_a_host_that_could_not_be_looked_at_is_unknown(reason: Reason) -> None:
    looked = Looked(Host("web-1", "192.0.2.1"), reason=reason, detail="words")
    assert reporting.without_plan(looked) == HostReport("web-1", UNKNOWN, reason, "words")


@pytest.mark.parametrize("reason", [Reason.MACHINE_CHANGED, Reason.SAME_MACHINE, Reason.INTERRUPTED])
def test_a_host_that_was_left_alone_is_skipped(reason: Reason) -> None:
    looked = Looked(Host("web-1", "192.0.2.1"), reason=reason)
    assert reporting.state_of_look(looked) is SKIPPED


def test_the_state_after_each_phase_is_the_worst() -> None:
    plan = host_plan(
        TaskPlan("a", TaskType.CLEANUP, State.PLANNED), TaskPlan("b", TaskType.VERIFY, FAILED, Reason.STALE)
    )
    assert reporting.state_of_look(Looked(Host("web-1", "192.0.2.1"), plan=plan)) is FAILED
    outcomes = {"1": Outcome("1", DONE), "2": Outcome("2", UNKNOWN)}
    assert reporting.state_of_outcomes(outcomes) is UNKNOWN
    assert reporting.state_of_outcomes({}) is State.NOTHING
