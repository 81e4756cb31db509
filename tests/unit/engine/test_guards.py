"""What guards say before the gate, what is asked again right before a host's work, and what people are told at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from maintenancebot.engine import cycle, guards
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.model import Host, Outcome, Reason, State
from maintenancebot.policy.breakers import Key, Scope
from maintenancebot.settings import Settings
from maintenancebot.store import Store
from tests.unit.engine.boxes import RUN, Box, NoRefresh, Told, cleanup, clock, ledger_of, settings, work

CANDIDATES = ("a.log", "b.log")


@pytest.fixture
def boxes(make_box: Callable[..., Box]) -> list[Box]:
    made = [make_box("web-1"), make_box("web-2")]
    for box in made:
        box.write(*CANDIDATES)
    return made


def fleet_of(boxes: list[Box], rules: Settings) -> tuple[Selected, ...]:
    return tuple(Selected(replace(box.host, groups=("web",)), rules.tasks) for box in boxes)


def judge(fleet: tuple[Selected, ...], about: Work, store: Store) -> Judged:
    seen = cycle.look(fleet, about, configuration="c", refresh=NoRefresh(), machine_ids={}, unfinished={})
    return cycle.judge(fleet, seen, about, guards.read(store, fleet, seen.plan, about))


def make(fleet: tuple[Selected, ...], judged: Judged, about: Work, store: Store) -> Judged:
    ledger = ledger_of(store, digest=judged.seen.plan.digest)
    return cycle.make(fleet, judged, about, ledger, Brakes(about, ledger, expires_at=judged.seen.plan.expires_at))


def reasons(judged: Judged) -> dict[str, set[Reason]]:
    answers: dict[str, Any] = {name: dict(found) for name, found in judged.decisions.items()}
    for name, outcomes in judged.outcomes.items():
        answers[name].update(outcomes)
    return {name: {one.reason for one in found.values()} for name, found in answers.items()}


def fail(store: Store, *hosts: str, ago: timedelta = timedelta(), rules: Settings | None = None) -> None:
    for host in hosts:
        limits = (rules or settings()).guards
        store.breakers.learn("earlier", host, ("web",), {"cleanup": False}, rules=limits, at=clock() - ago)


def test_an_open_breaker_is_seen_by_the_gate(boxes: list[Box], store: Store) -> None:
    fail(store, "db-1", "db-2", "db-3")
    judged = judge(fleet_of(boxes, settings()), work(boxes), store)
    assert reasons(judged) == {"web-1": {Reason.BREAKER_OPEN}, "web-2": {Reason.BREAKER_OPEN}}


def test_half_open_one_host_of_a_run_tries_and_closes_it_for_the_next_run(boxes: list[Box], store: Store) -> None:
    fail(store, "db-1", "db-2", "db-3", ago=timedelta(minutes=61))
    fleet = fleet_of(boxes, settings())
    made = make(fleet, judge(fleet, work(boxes), store), work(boxes), store)
    assert reasons(made) == {"web-1": {Reason.VERIFIED}, "web-2": {Reason.BREAKER_OPEN}}
    assert boxes[1].names() == list(CANDIDATES)
    again = make(fleet, judge(fleet, work(boxes), store), work(boxes), store)
    assert reasons(again)["web-2"] == {Reason.VERIFIED}


def test_a_host_on_which_nothing_may_be_done_does_not_keep_the_others_from_trying(
    boxes: list[Box], store: Store
) -> None:
    fail(store, "db-1", "db-2", "db-3", ago=timedelta(minutes=61))
    first, second = fleet_of(boxes, settings())
    fleet = (replace(first, host=replace(first.host, maintenance=True)), second)
    made = make(fleet, judge(fleet, work(boxes), store), work(boxes), store)
    assert reasons(made) == {"web-1": {Reason.MAINTENANCE}, "web-2": {Reason.VERIFIED}}


def test_a_breaker_that_opens_after_the_gate_holds_back_the_hosts_that_have_not_begun(
    boxes: list[Box], store: Store
) -> None:
    told, rules = Told(), settings(ssh={"parallel": 1, "idle_timeout": 20})
    fleet, about = fleet_of(boxes, rules), work(boxes, rules, told=told)
    judged = judge(fleet, about, store)
    told.after = lambda host, name: fail(store, "db-1", "db-2", "db-3") if host == "web-1" else None
    made = make(fleet, judged, about, store)
    assert reasons(made) == {"web-1": {Reason.VERIFIED}, "web-2": {Reason.BREAKER_OPEN}}
    assert boxes[1].names() == list(CANDIDATES)


def test_an_effect_is_learned_with_the_host_and_not_at_the_end_of_the_run(boxes: list[Box], store: Store) -> None:
    told, rules = Told(), settings(ssh={"parallel": 1, "idle_timeout": 20})
    fleet, about = fleet_of(boxes, rules), work(boxes, rules, told=told)
    judged = judge(fleet, about, store)
    seen: list[int] = []

    def before(host: str, name: str) -> None:
        if host == "web-1":
            boxes[0].kill_helper()
        else:
            seen.append(store.breakers.all()[Key(Scope.HOST, "web-1")].failures)

    told.before = before
    make(fleet, judged, about, store)
    assert seen == [1, 1]


def test_an_approval_that_is_used_up_after_the_gate_was_asked_allows_nothing(boxes: list[Box], store: Store) -> None:
    rules = settings({**cleanup(), "approval": "required"})
    fleet, about = fleet_of(boxes[:1], rules), work(boxes, rules)
    waiting = judge(fleet, about, store)
    assert reasons(waiting) == {"web-1": {Reason.NEEDS_APPROVAL}}
    guards.ask_for_approval(store, waiting, replace(about, by="bert"))
    (asked,) = store.approvals.latest()
    assert asked.requested_by == "bert"
    store.approvals.decide(asked.digest, approve=True, by="anna", at=clock())
    judged = judge(fleet, about, store)
    first, _ = asked.changes
    store.approvals.use([first], at=clock())
    made = make(fleet, judged, about, store)
    outcomes = made.outcomes["web-1"]
    assert outcomes.pop(first).reason is Reason.NEEDS_APPROVAL  # type: ignore[attr-defined]
    assert [one.reason for one in outcomes.values()] == [Reason.VERIFIED]
    assert store.approvals.approved_changes(at=clock()) == frozenset()


def test_a_file_that_changed_since_it_was_approved_is_another_change(boxes: list[Box], store: Store) -> None:
    rules = settings({**cleanup(), "approval": "required"})
    fleet, about = fleet_of(boxes[:1], rules), work(boxes, rules)
    guards.ask_for_approval(store, judge(fleet, about, store), about)
    (asked,) = store.approvals.latest()
    store.approvals.decide(asked.digest, approve=True, by="anna", at=clock())
    judged = judge(fleet, about, store)
    boxes[0].write("a.log", content=b"other\n")
    made = make(fleet, judged, about, store)
    assert reasons(made) == {"web-1": {Reason.VERIFIED, Reason.CHANGED_SINCE}}
    assert reasons(judge(fleet, about, store)) == {"web-1": {Reason.NEEDS_APPROVAL}}


@pytest.mark.parametrize(("groups", "told"), [({}, 0), ({"web": "notify"}, 1), ({"db": "notify"}, 0)])
def test_people_are_told_once_a_run_and_task_what_was_done_on_notify(
    groups: dict[str, str], told: int, store: Store, boxes: list[Box]
) -> None:
    rules = settings(guards={"autonomy": groups})
    fleet, about = fleet_of(boxes, rules), work(boxes, rules)
    judged = make(fleet, judge(fleet, about, store), about, store)
    for _ in range(2):
        guards.notify(store, fleet, judged, about)
    messages = store.messages.waiting(10)
    hosts = {"web-1": {"done": 2}, "web-2": {"done": 2}}
    assert [one.body for one in messages] == [{"run": RUN, "task": "logs", "hosts": hosts}] * told


def test_nobody_is_told_of_what_was_not_begun(boxes: list[Box], store: Store) -> None:
    rules = settings({**cleanup(), "approval": "notify"})
    fleet = fleet_of(boxes, rules)
    judged = judge(fleet, work(boxes, rules), store)
    left = {
        host: {id: Outcome(id, State.SKIPPED, Reason.STOPPED, begun=False) for id in found}
        for host, found in judged.decisions.items()
    }
    guards.notify(store, fleet, replace(judged, outcomes=left), work(boxes, rules))
    assert store.messages.waiting(10) == []


PATCHES = {"name": "patches", "type": "package_update", "scope": "security_only"}


@pytest.fixture
def hosts() -> list[Host]:
    return [Host(f"web-{number}", f"192.0.2.{number}", groups=("web",)) for number in range(1, 4)]


def renewals(hosts: list[Host], store: Store, **budget: int) -> tuple[guards.RefreshBook, list[Selected]]:
    """The book of a run that renews package lists, and its fleet."""
    rules = settings(PATCHES, guards=budget)
    book = guards.RefreshBook(store, work([], rules), wanted=True)
    return book, [Selected(host, rules.tasks) for host in hosts]


def test_lists_renewed_side_by_side_never_exceed_the_budget_together(hosts: list[Host], store: Store) -> None:
    book, fleet = renewals(hosts, store, actions_per_hour=2)
    assert [book.begin(item) for item in fleet] == [True, True, False]
    book.end(fleet[0], Looked(fleet[0].host))
    assert not book.begin(fleet[2])
    assert store.intents.spent(at=clock())[0] == 1  # and one under way


def test_no_lists_are_renewed_where_a_breaker_is_open_or_the_inventory_is_stale(
    hosts: list[Host], store: Store
) -> None:
    hosts[1] = replace(hosts[1], stale="its source failed for a day")
    book, fleet = renewals(hosts, store)
    assert [book.begin(item) for item in fleet] == [True, False, True]
    store.breakers.learn("earlier", "web-1", ("web",), {"cleanup": False}, rules=_strict(), at=clock())
    assert [book.begin(item) for item in fleet] == [False, False, True]


def _strict() -> Any:
    return settings(guards={"breaker_failures": 1}).guards
