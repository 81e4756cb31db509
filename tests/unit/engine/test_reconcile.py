"""What an earlier run intended and never recorded is looked up on the host, told, and closed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from maintenancebot.engine import applying, cycle, reconcile
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Seen, Selected
from maintenancebot.engine.probing import Looked
from maintenancebot.model import Outcome, Reason, State
from maintenancebot.plan.document import Plan
from maintenancebot.store import Store
from tests.unit.engine.boxes import Box, NoRefresh, apply_held, clock, ledger_of, settings, work
from tests.unit.store.examples import done

EARLIER = "20261101T030000Z-aaaaaa"


def broken_off(box: Box, store: Store, made: str, lost: str) -> None:
    """An earlier run that moved one file and was ended before the record of another."""
    steps = box.steps(made, lost)
    store.intents.record(EARLIER, box.host.name, "d" * 64, steps, at=clock(), machine_id=box.machine_id)
    acting, surroundings = applying.actors(settings().tasks), work([box], run_id=EARLIER)
    with Store.open(box.base / "other", create=True) as elsewhere:
        ledger = ledger_of(elsewhere, EARLIER)
        brakes = Brakes(surroundings, ledger)
        apply_held(box.host, box.machine_id, steps[:1], acting, ledger, brakes)


def look(store: Store, *boxes: Box, away: tuple[Box, ...] = ()) -> list[str]:
    """Look at the fleet as a run does, and settle what was open."""
    fleet = [Selected(box.host, settings().tasks) for box in (*boxes, *away)]
    surroundings = work(boxes)
    found = reconcile.unfinished(store, [item.host.name for item in fleet], clock())
    changes = reconcile.changes(found)
    seen = cycle.look(fleet, surroundings, configuration="c", refresh=NoRefresh(), machine_ids={}, unfinished=changes)
    return reconcile.settle(store, found, seen, surroundings)


def words(name: str, found: str) -> str:
    return f"web-1: quarantine_file /var/log/app/{name} of run {EARLIER} was unfinished; {found}"


def test_unfinished_changes_are_looked_up_told_and_closed_once(box: Box, store: Store) -> None:
    box.write("moved.log", "left.log")
    broken_off(box, store, "moved.log", "left.log")
    item = box.trash[0].parent.name
    assert look(store, box) == [
        words("moved.log", f"found: done (lies in the trash as {item})"),
        words("left.log", "found: not_started (found untouched)"),
    ]
    assert store.intents.unfinished() == []
    assert look(store, box) == []
    assert store.audit.verify().ok


def test_a_host_that_cannot_be_reached_keeps_its_intents_for_the_next_start(box: Box, store: Store) -> None:
    box.write("moved.log", "left.log")
    broken_off(box, store, "moved.log", "left.log")
    could_not = [words(name, "the host could not be asked") for name in ("moved.log", "left.log")]
    assert look(store, away=(box,)) == could_not
    assert look(store, away=(box,)) == could_not
    assert len(store.intents.unfinished()) == 2
    assert len(look(store, box)) == 2
    assert store.intents.unfinished() == []


def test_a_dry_run_tells_and_records_nothing(box: Box, store: Store, tmp_path: Path) -> None:
    box.write("moved.log", "left.log")
    broken_off(box, store, "moved.log", "left.log")
    rows = store.audit.verify().rows
    with Store.open_readonly(tmp_path / "state") as looking:
        told = look(looking, box)
    assert told[1] == words("left.log", "found: not_started (found untouched)")
    assert len(store.intents.unfinished()) == 2
    assert store.audit.verify().rows == rows


def settle(store: Store, looked: dict[str, Looked]) -> list[str]:
    found = reconcile.unfinished(store, ["web-1", "web-2"], clock())
    return reconcile.settle(store, found, Seen(Plan("run", clock(), clock(), "c", ()), looked), work([]))


def test_a_change_that_is_still_at_work_stays_open(box: Box, store: Store) -> None:
    box.write("1.log", "2.log")
    steps = box.steps("1.log", "2.log")
    store.intents.record(EARLIER, "web-1", "d" * 64, steps, at=clock())
    at_work = Outcome(steps[0].changes[0].id, State.UNKNOWN, Reason.BUSY, "the unit still runs")
    told = settle(store, {"web-1": Looked(box.host, recalled=(at_work, done(steps[1])))})
    assert told == [words("1.log", "found: busy (the unit still runs)"), words("2.log", "found: done")]
    assert [intent.step for intent in store.intents.unfinished()] == [steps[0].id]


def test_the_same_object_in_two_runs_is_closed_in_both(box: Box, store: Store) -> None:
    box.write("1.log")
    steps = box.steps("1.log")
    for run in (EARLIER, "later"):
        store.intents.record(run, "web-1", "d" * 64, steps, at=clock())
    told = settle(store, {"web-1": Looked(box.host, recalled=(done(steps[0]),))})
    assert told == [words("1.log", "found: done"), words("1.log", "found: done").replace(EARLIER, "later")]
    assert store.intents.unfinished() == []


def test_only_the_chosen_hosts_are_taken_up(box: Box, store: Store) -> None:
    box.write("1.log")
    for host in ("web-1", "web-3"):
        store.intents.record(EARLIER, host, "d" * 64, box.steps("1.log"), at=clock())
    assert set(reconcile.unfinished(store, ["web-1"], clock())) == {"web-1"}
    assert settle(store, {}) == [words("1.log", "the host could not be asked")]


def test_what_a_second_name_of_a_machine_left_open_is_settled(make_box: Callable[..., Box], store: Store) -> None:
    first, second = make_box("web-0", "a" * 32), make_box("web-1", "a" * 32)
    second.write("left.log")
    store.intents.record(EARLIER, "web-1", "d" * 64, second.steps("left.log"), at=clock())
    assert look(store, first, second) == [words("left.log", "found: not_started (found untouched)")]
    assert store.intents.unfinished() == []


def test_what_was_meant_for_another_machine_is_not_settled_by_this_one(box: Box, store: Store) -> None:
    box.write("left.log")
    steps = box.steps("left.log")
    store.intents.record(EARLIER, "web-1", "d" * 64, steps, at=clock(), machine_id="e" * 32)
    assert look(store, box) == [words("left.log", "found: machine_changed (another machine answers now)")]
    assert len(store.intents.unfinished()) == 1


def test_nothing_open_is_nothing_to_tell(box: Box, store: Store) -> None:
    assert look(store, box) == []
