"""A host is one piece of work's at a time: others wait in sight of everybody, and a former owner changes nothing."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from maintenancebot.catalog import SUBJECTS
from maintenancebot.engine import cycle, holding
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.work import Work
from maintenancebot.errors import BusyError
from maintenancebot.model import Reason, State, TaskType
from maintenancebot.store import Store
from maintenancebot.store.leases import host_name
from tests.lab.tools import wait_until
from tests.unit.engine.boxes import Box, NoRefresh, Told, apply_held, clock, ledger_of, settings, work

OTHER = "20261121T130000Z-other0"
FILES = [f"{number}.log" for number in range(6)]
MOVES = {"logs": SUBJECTS[TaskType.CLEANUP].actions}


class Notes(Told):
    """Keeps what is told while hosts wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[tuple[str, str]] = []

    def host(self, name: str, state: State | None, note: str) -> None:
        if note.startswith("waits for"):
            self.waits.append((name, note))


@pytest.fixture
def other(store: Store) -> Holding:
    return Holding(store, work([], run_id=OTHER))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "POLL_SECONDS", 0.01)


def test_who_has_the_host_is_said_at_the_end_of_the_wait(store: Store, other: Holding) -> None:
    with other.host("web-1", "changes"), pytest.raises(BusyError) as raised:
        Holding(store, work([])).host("web-1", "a look", wait=0.05).__enter__()
    assert str(raised.value).startswith(f"web-1 is being worked on: changes of run {OTHER} (process ")


def test_a_wait_is_shown_and_ends_when_the_host_is_given_back(store: Store, other: Holding) -> None:
    told = Notes()
    mine = Holding(store, work([], told=told))
    begun = threading.Event()

    def wait() -> None:
        with mine.host("web-1", "a look", wait=60):
            begun.set()

    with other.host("web-1", "changes"):
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: bool(told.waits), "the wait to be shown")
        assert not begun.is_set()
    waiting.join(60)
    assert begun.is_set()
    assert [(name, note.partition(" (process")[0]) for name, note in told.waits] == [
        ("web-1", f"waits for changes of run {OTHER}")
    ]


def test_a_stop_ends_the_wait(store: Store, other: Holding) -> None:
    surroundings = work([])
    surroundings.stop.set()
    with other.host("web-1", "changes"), pytest.raises(BusyError):
        Holding(store, surroundings).host("web-1", "a look", wait=3600).__enter__()


def test_what_it_has_already_it_does_not_wait_for_and_gives_back_once(store: Store, other: Holding) -> None:
    mine = Holding(store, work([]))
    with mine.host("web-1", "remediate disk") as outer:
        with mine.host("web-1", "changes") as inner:
            assert inner == outer
        assert mine.lease("web-1") == outer
        with pytest.raises(BusyError):
            other.host("web-1", "a look").__enter__()
    assert mine.lease("web-1") is None
    with other.host("web-1", "a look"):
        pass


def test_one_run_at_a_time_goes_over_the_fleet(store: Store, other: Holding) -> None:
    with (
        other.cycle(),
        pytest.raises(BusyError, match=rf"another run is at work \(process \d+, run {OTHER}\)"),
    ):
        Holding(store, work([])).cycle().__enter__()
    with Holding(store, work([])).cycle():
        pass


def test_a_lease_is_renewed_while_it_is_held(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until(lambda: "leases" not in {one.name for one in threading.enumerate()}, "earlier threads to end")
    monkeypatch.setattr(holding, "RENEW_SECONDS", 0.02)
    ahead = [timedelta()]
    surroundings = replace(work([]), now=lambda: clock() + ahead[0])

    def until() -> datetime:
        holder = store.leases.holder(host_name("web-1"), at=clock())
        assert holder is not None
        return holder.until

    with Holding(store, surroundings).host("web-1", "changes"):
        first = until()
        ahead[0] = timedelta(seconds=50)
        wait_until(lambda: until() >= first + timedelta(seconds=49), "the lease to be renewed")
    wait_until(lambda: "leases" not in {one.name for one in threading.enumerate()}, "the renewing thread to end")


def take_over(store: Store, host: str) -> None:
    """Somebody takes the host after its lease has expired, as after a long sleep of the owner."""
    lease = store.leases.take(host_name(host), f"changes of run {OTHER}", at=clock() + timedelta(hours=1), seconds=60)
    assert lease is not None


def open_names(store: Store) -> list[str]:
    return sorted(Path(intent.change.name).name for intent in store.intents.unfinished())


def test_an_owner_that_slept_past_its_time_changes_and_writes_nothing_more(box: Box, store: Store) -> None:
    box.write(*FILES)
    told, ledger = Told(), ledger_of(store)
    rows: list[int] = []

    def sleeps(host: str, name: str) -> None:
        if len(told.steps) == 2:  # two are made and recorded
            take_over(store, host)
            rows.append(store.audit.verify().rows)

    told.after = sleeps
    steps = box.steps(*FILES)
    made = apply_held(box.host, box.machine_id, steps, MOVES, ledger, Brakes(work([box], told=told), ledger))
    assert [made[step.changes[0].id].reason for step in steps] == [Reason.VERIFIED] * 2 + [Reason.FENCED] * 4
    assert box.names() == FILES[2:]
    assert store.audit.verify().rows == rows[0], "nothing was written since"
    assert open_names(store) == FILES[1:], "the new owner looks up what became of these"


def test_a_change_in_hand_when_the_host_is_taken_over_is_the_new_owners_to_look_up(box: Box, store: Store) -> None:
    box.write(*FILES)
    told, ledger = Told(), ledger_of(store)

    def sleeps(host: str, name: str) -> None:
        if name.endswith("2.log"):
            take_over(store, host)

    told.before = sleeps
    steps = box.steps(*FILES)
    made = apply_held(box.host, box.machine_id, steps, MOVES, ledger, Brakes(work([box], told=told), ledger))
    assert [made[step.changes[0].id].reason for step in steps][3:] == [Reason.FENCED] * 3
    assert box.names() == FILES[3:]
    assert open_names(store) == FILES[2:]


def test_another_hosts_work_goes_on(store: Store) -> None:
    ledger = ledger_of(store)
    with ledger.holding.host("web-1", "changes"), ledger.holding.host("web-2", "changes"):
        take_over(store, "web-1")
        assert ledger.objection("web-1") is Reason.FENCED
        assert ledger.objection("web-2") is Reason.NONE


def test_without_the_host_nothing_is_intended(box: Box, store: Store) -> None:
    box.write("1.log")
    assert ledger_of(store).intend(box.host.name, box.machine_id, box.steps("1.log")) == ([], Reason.FENCED)
    assert store.intents.unfinished() == []


def look_and_make(box: Box, store: Store, surroundings: Work) -> tuple[State, Reason]:
    """A run over one box; its host's state."""
    fleet = (Selected(box.host, settings().tasks),)
    mine = Holding(store, surroundings)
    seen = cycle.look(
        fleet, surroundings, configuration="c", refresh=NoRefresh(), machine_ids={}, unfinished={}, holding=mine
    )
    (report,) = cycle.host_reports(fleet, Judged(seen, {}))
    return report.state, report.reason


def test_a_host_that_somebody_else_has_is_busy_and_the_run_goes_on(
    box: Box, store: Store, other: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycle, "LOOK_WAIT_SECONDS", 0.05)
    with other.host("web-1", "remediate disk"):
        assert look_and_make(box, store, work([box])) == (State.UNKNOWN, Reason.BUSY)
    assert box.executions == []
