"""A slot is somebody's once, on disk before its run, and its end or its absence is on record."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.model import Reason, State
from maintenancebot.store import Store

NOW = datetime(2026, 11, 22, 3, 0, 1, tzinfo=UTC)
SLOT = int(NOW.timestamp()) - 1
RULE = "0 3 * * 0 UTC"


def kinds(store: Store) -> list[str]:
    from sqlalchemy import select

    from maintenancebot.store.tables import audit

    with store._database.read() as connection:
        return [row.kind for row in connection.execute(select(audit.c.kind).order_by(audit.c.seq))]


def test_a_slot_is_claimed_once(store: Store) -> None:
    assert store.slots.claim("cycle", SLOT, RULE, "run-1", at=NOW)
    assert not store.slots.claim("cycle", SLOT, RULE, "run-2", at=NOW)
    assert store.slots.claim("purge", SLOT, RULE, "run-3", at=NOW)
    last = store.slots.last("cycle", at=NOW)
    assert last is not None
    assert (last.slot, last.rule, last.run, last.finished_at) == (SLOT, RULE, "run-1", None)


def test_how_it_ended_is_on_record_and_in_the_audit_log(store: Store) -> None:
    store.slots.claim("cycle", SLOT, RULE, "run-1", at=NOW)
    store.slots.finish("cycle", SLOT, State.FAILED, Reason.BUSY, "a\nb\udcff", at=NOW + timedelta(hours=1))
    (row,) = store.slots.recent(5)
    assert (row.state, row.reason, row.detail) == (State.FAILED, Reason.BUSY, "a\nb\udcff")
    assert kinds(store)[-2:] == ["slot_claimed", "slot_finished"]
    assert store.audit.verify().ok


def test_missed_slots_are_recorded_once(store: Store) -> None:
    store.slots.claim("cycle", SLOT, RULE, "run-1", at=NOW)
    missed = {SLOT: "mine", SLOT - 60: "its window closed", SLOT - 120: "a later slot has come"}
    assert store.slots.miss("cycle", missed, RULE, at=NOW) == [SLOT - 120, SLOT - 60]
    assert store.slots.miss("cycle", missed, RULE, at=NOW) == []
    rows = {row.slot: (row.state, row.reason, row.detail) for row in store.slots.recent(5)}
    assert rows[SLOT - 60] == (State.SKIPPED, Reason.MISSED, "its window closed")
    assert rows[SLOT] == (None, None, "")


def test_the_last_slot_is_what_was_recorded_last_and_not_in_the_future(store: Store) -> None:
    store.slots.begin("cycle", SLOT, RULE, at=NOW)
    store.slots.claim("cycle", SLOT + 3600, RULE, "run-9", at=NOW + timedelta(hours=1))
    assert store.slots.last("certificates", at=NOW) is None
    last = store.slots.last("cycle", at=NOW)
    assert last is not None
    assert last.slot == SLOT
    store.slots.begin("cycle", SLOT - 60, "59 2 * * 0 UTC", at=NOW + timedelta(seconds=1))
    last = store.slots.last("cycle", at=NOW + timedelta(seconds=1))
    assert last is not None
    assert (last.slot, last.rule) == (SLOT - 60, "59 2 * * 0 UTC")


def rule_of_last(store: Store, at: datetime) -> str:
    last = store.slots.last("cycle", at=at)
    assert last is not None
    return last.rule


def test_a_schedule_that_is_switched_off_and_on_has_no_past(store: Store) -> None:
    store.slots.begin("cycle", SLOT, RULE, at=NOW)
    store.slots.retire({"cycle"})
    assert rule_of_last(store, NOW) == RULE
    store.slots.retire({"purge"})
    assert rule_of_last(store, NOW) == ""
    store.slots.begin("cycle", SLOT, RULE, at=NOW + timedelta(days=9))
    assert rule_of_last(store, NOW + timedelta(days=9)) == RULE


CLAIM = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from maintenancebot.store import Store
with Store.open(Path(sys.argv[1]), create=True) as store:
    at = datetime(2026, 11, 22, 3, 0, 1, tzinfo=UTC)
    won = [n for n in range(40) if store.slots.claim("cycle", 1000 + n, "rule", f"run-{n}", at=at)]
    print(len(won), flush=True)
"""


def claiming(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", CLAIM, str(state)], stdout=subprocess.PIPE, text=True)


def test_of_two_processes_one_gets_each_slot(state: Path) -> None:
    Store.open(state, create=True).close()
    processes = [claiming(state), claiming(state)]
    won = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert sum(won) == 40


def test_what_an_ended_process_left_unfinished_is_taken_over_once(state: Path) -> None:
    Store.open(state, create=True).close()
    claiming(state).communicate(timeout=120)
    with Store.open(state, create=False) as first, Store.open(state, create=False) as second:
        first.slots.claim("cycle", SLOT, RULE, "ours", at=NOW)
        abandoned = first.slots.abandoned(at=NOW)
        assert [slot.run for slot in abandoned] == [f"run-{n}" for n in range(40)]
        assert first.slots.take_over(abandoned[0], at=NOW)
        assert not second.slots.take_over(abandoned[0], at=NOW)
        assert [slot.run for slot in first.slots.abandoned(at=NOW)] == [f"run-{n}" for n in range(1, 40)]
        assert "ours" not in [slot.run for slot in second.slots.abandoned(at=NOW)]


def test_a_state_that_cannot_be_written_claims_nothing(store: Store, state: Path) -> None:
    read_only = Store.open_readonly(state)
    with pytest.raises(StoreError):
        read_only.slots.claim("cycle", SLOT, RULE, "run-1", at=NOW)
    assert store.slots.last("cycle", at=NOW) is None
