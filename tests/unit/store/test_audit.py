from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store import AuditVerdict, Record, Store
from tests.unit.store.examples import NOON, ODD, RUN, done, later, step, steps, tamper


def filled(state: Path, rows: int = 5) -> AuditVerdict:
    with Store.open(state, create=True) as store:
        for number in range(rows):
            store.audit.append("note", run=RUN, host="web-1", body={"number": number}, at=later(seconds=number))
        return store.audit.verify()


def verdict_after(state: Path, *statements: str) -> AuditVerdict:
    tamper(state, *statements)
    with Store.open(state, create=False) as store:
        return store.audit.verify()


def test_a_new_log_is_whole(store: Store) -> None:
    assert store.audit.verify().ok


def test_rows_are_numbered_from_one_and_the_head_changes_with_each(store: Store) -> None:
    heads = {store.audit.verify().head}
    for expected in (1, 2, 3):
        assert store.audit.append("note", run=RUN, host="", body=None, at=NOON) == expected
        heads.add(store.audit.verify().head)
    assert len(heads) == 4


def test_names_that_are_not_utf8_survive_and_the_chain_holds(store: Store) -> None:
    store.audit.append("note", run=RUN, host="web-1", body={"path": ODD, "size": 2**70, "share": 0.1}, at=NOON)
    assert store.audit.verify().ok


def test_all_of_many_records_are_written_or_none(store: Store) -> None:
    naive = NOON.replace(tzinfo=None)
    with pytest.raises((StoreError, ValueError)):
        store.audit.append_many([Record("note", RUN, "", {}, NOON), Record("note", RUN, "", {}, naive)])
    assert store.audit.verify().rows == 0


@pytest.mark.parametrize(
    "column", ["at = at + 1", "kind = 'x'", "run = 'x'", "host = 'x'", "change_id = 'x'", "body = '{}'", "hash = 'x'"]
)
def test_an_edited_row_is_found(state: Path, column: str) -> None:
    filled(state)
    verdict = verdict_after(state, f"UPDATE audit SET {column} WHERE seq = 3")
    assert (verdict.ok, verdict.first_bad_seq) == (False, 3)
    assert verdict.problem == "row 3 was changed: its hash does not fit"


def test_a_deleted_row_in_the_middle_is_found(state: Path) -> None:
    filled(state)
    verdict = verdict_after(state, "DELETE FROM audit WHERE seq = 3")
    assert (verdict.ok, verdict.first_bad_seq, verdict.problem) == (False, 3, "row 3 is missing")


def test_rows_cut_off_at_the_end_are_found(state: Path) -> None:
    filled(state)
    verdict = verdict_after(state, "DELETE FROM audit WHERE seq >= 4")
    assert (verdict.ok, verdict.first_bad_seq) == (False, 4)
    assert verdict.problem == "rows 4 to 5 are missing at the end"


def test_a_cut_with_a_head_that_was_lowered_too_is_found(state: Path) -> None:
    filled(state)
    verdict = verdict_after(state, "DELETE FROM audit WHERE seq = 5", "UPDATE audit_head SET rows = 4")
    assert not verdict.ok


def test_a_perfect_cut_shows_in_the_head_that_was_noted_elsewhere(state: Path) -> None:
    noted = filled(state).head
    verdict = verdict_after(
        state,
        "DELETE FROM audit WHERE seq = 5",
        "UPDATE audit_head SET rows = 4, hash = (SELECT hash FROM audit WHERE seq = 4)",
    )
    assert verdict.ok
    assert verdict.head != noted


def test_exchanged_rows_are_found(state: Path) -> None:
    filled(state)
    exchange = [f"UPDATE audit SET seq = {new} WHERE seq = {old}" for old, new in ((2, 99), (3, 2), (99, 3))]
    verdict = verdict_after(state, *exchange)
    assert (verdict.ok, verdict.first_bad_seq) == (False, 2)


@pytest.mark.parametrize("seq", [0, 6])
def test_an_inserted_row_is_found(state: Path, seq: int) -> None:
    filled(state)
    copied = f"INSERT INTO audit SELECT {seq}, at, kind, run, host, change_id, body, prev_hash, hash FROM audit"
    verdict = verdict_after(state, f"{copied} WHERE seq = 5")
    assert (verdict.ok, verdict.first_bad_seq) == (False, seq)


def test_rows_of_another_store_do_not_fit(state: Path, tmp_path: Path) -> None:
    filled(state)
    filled(tmp_path / "other")
    verdict = verdict_after(
        state,
        "DELETE FROM audit",
        f"ATTACH '{tmp_path}/other/state.db' AS other",
        "INSERT INTO audit SELECT * FROM other.audit",
        "DELETE FROM audit_head",
        "INSERT INTO audit_head SELECT * FROM other.audit_head",
    )
    assert (verdict.ok, verdict.first_bad_seq) == (False, 1)


@pytest.mark.parametrize("statement", ["UPDATE audit SET body = ''", "DELETE FROM audit"])
def test_the_database_itself_refuses_to_change_a_row(state: Path, statement: str) -> None:
    import sqlite3

    filled(state)
    with sqlite3.connect(state / "state.db") as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)


def test_budgets_count_what_was_made_or_tried_and_not_what_was_left_alone(store: Store) -> None:
    from maintenancebot.model import Reason, State

    made, tried, left = steps("web-1", 3)
    other = step("web-2", 9)
    store.intents.close(RUN, [done(made)], host="web-1", at=NOON)
    store.intents.close(RUN, [done(tried, State.FAILED, Reason.WRITE_ERROR)], host="web-1", at=later(minutes=30))
    store.intents.close(RUN, [done(left, State.SKIPPED, Reason.STOPPED)], host="web-1", at=later(minutes=31))
    store.intents.close(RUN, [done(other)], host="web-2", at=later(minutes=40))
    assert store.audit.actions_since(NOON) == 3
    assert store.audit.actions_since(later(minutes=1)) == 2
    assert store.audit.actions_since(NOON, host="web-1") == 2


def test_a_log_on_a_working_disk_is_writable_and_probing_adds_no_row(store: Store) -> None:
    assert store.audit.probe_writable()
    assert store.audit.verify().rows == 0
