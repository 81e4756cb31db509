import sqlite3
import time
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store import StopInfo, Store, stop_by_file
from tests.unit.store.examples import NOON, RUN, tamper


def test_nothing_is_stopped_at_first(store: Store) -> None:
    assert store.guard.stopped() is None


def test_a_stop_holds_over_restarts_until_it_is_resumed(state: Path) -> None:
    with Store.open(state, create=True) as store:
        store.guard.stop("disk swap \udcff", "anna", at=NOON)
    with Store.open(state, create=False) as store:
        assert store.guard.stopped() == StopInfo("disk swap \udcff", "anna", NOON)
        store.guard.resume("anna", at=NOON)
        assert store.guard.stopped() is None
    with Store.open(state, create=False) as store:
        assert store.guard.stopped() is None


def test_stop_and_resume_stand_in_the_audit_log(store: Store) -> None:
    store.guard.stop("why", "anna", at=NOON)
    store.guard.resume("bert", at=NOON)
    assert store.audit.verify().rows == 2


def test_another_process_sees_a_stop_at_once(state: Path, store: Store) -> None:
    with Store.open(state, create=False) as other:
        other.guard.stop("why", "anna", at=NOON)
        assert store.guard.stopped() is not None
        other.guard.resume("anna", at=NOON)
        assert store.guard.stopped() is None


def test_a_file_that_somebody_touched_stops(state: Path, store: Store) -> None:
    (state / "STOP").touch()
    stop = store.guard.stopped()
    assert stop is not None
    assert (stop.reason, stop.by) == (f"{state}/STOP exists", "a person")


def test_so_does_a_link_to_nothing(state: Path, store: Store) -> None:
    (state / "STOP").symlink_to("/nowhere")
    assert store.guard.stopped() is not None


def test_a_stop_without_its_file_is_still_one(state: Path, store: Store) -> None:
    store.guard.stop("why", "anna", at=NOON)
    (state / "STOP").unlink()
    assert store.guard.stopped() == StopInfo("why", "anna", NOON)


def test_a_state_directory_that_is_gone_stops(state: Path, store: Store) -> None:
    state.rename(state.with_name("gone"))
    stop = store.guard.stopped()
    assert stop is not None
    assert stop.reason == f"{state} is not there"


def test_a_directory_that_is_none_any_more_stops(state: Path, store: Store) -> None:
    state.rename(state.with_name("gone"))
    state.write_text("")
    assert store.guard.stopped() is not None


def test_a_database_that_cannot_be_read_stops(state: Path, store: Store) -> None:
    tamper(state, "DROP TABLE guard")
    stop = store.guard.stopped()
    assert stop is not None
    assert stop.reason.startswith("the kill switch cannot be read")


def test_a_further_file_stops_and_resume_leaves_it_alone(state: Path, tmp_path: Path) -> None:
    further = tmp_path / "maintenance"
    with Store.open(state, create=True, kill_switch=further) as store:
        assert store.guard.stopped() is None
        further.touch()
        store.guard.resume("anna", at=NOON)
        assert store.guard.stopped() is not None
        further.unlink()
        assert store.guard.stopped() is None


def test_a_further_file_whose_folder_cannot_be_seen_stops(state: Path, tmp_path: Path) -> None:
    with Store.open(state, create=True, kill_switch=tmp_path / "not" / "mounted") as store:
        assert store.guard.stopped() is not None


def test_stopping_works_without_a_database(state: Path) -> None:
    Store.open(state, create=True).close()
    (state / "state.db").write_bytes(b"damaged")
    assert stop_by_file(state, "why", "anna", at=NOON)
    (state / "state.db").unlink()
    (state / "initialised").unlink()
    with Store.open(state, create=True) as store:
        assert store.guard.stopped() == StopInfo("why", "anna", NOON)


def test_a_stop_that_the_database_cannot_take_holds_by_its_file(state: Path, store: Store) -> None:
    tamper(state, "DROP TABLE audit_head")
    with pytest.raises(StoreError):
        store.guard.stop("why", "anna", at=NOON)
    assert store.guard.stopped() == StopInfo("why", "anna", NOON)


def test_a_resume_that_cannot_be_recorded_does_not_resume(state: Path, store: Store) -> None:
    store.guard.stop("why", "anna", at=NOON)
    tamper(state, "DROP TABLE audit_head")
    with pytest.raises(StoreError):
        store.guard.resume("anna", at=NOON)
    assert (state / "STOP").exists()


def test_a_resume_that_cannot_remove_the_file_keeps_the_row_too(state: Path, store: Store) -> None:
    store.guard.stop("why", "anna", at=NOON)
    (state / "STOP").unlink()
    (state / "STOP").mkdir()
    with pytest.raises(StoreError):
        store.guard.resume("anna", at=NOON)
    (state / "STOP").rmdir()
    assert store.guard.stopped() == StopInfo("why", "anna", NOON)


def test_stopping_does_not_follow_a_link(state: Path, tmp_path: Path) -> None:
    state.mkdir(mode=0o700)
    (tmp_path / "precious").write_text("content")
    (state / "STOP").symlink_to(tmp_path / "precious")
    stop_by_file(state, "why", "anna", at=NOON)
    assert (tmp_path / "precious").read_text() == "content"


def test_looking_is_cheap_enough_for_every_change(store: Store) -> None:
    store.guard.stopped()
    began = time.perf_counter()
    for _ in range(200):
        store.guard.stopped()
    assert (time.perf_counter() - began) / 200 < 0.005


def test_a_stop_is_seen_while_somebody_else_writes(state: Path, store: Store) -> None:
    busy = sqlite3.connect(state / "state.db", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    assert store.guard.stopped() is None
    assert stop_by_file(state, "why", "anna", at=NOON)
    assert store.guard.stopped() is not None
    busy.close()
    assert store.audit.append("note", run=RUN, host="", body={}, at=NOON) == 1
