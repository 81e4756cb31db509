import os
import random
import sqlite3
import threading
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store import Store
from tests.unit.store.examples import DIGEST, NOON, RUN, steps, tamper


def used(state: Path) -> Path:
    """A state with enough in it to fill many pages."""
    with Store.open(state, create=True) as store:
        store.intents.record(RUN, "web-1", DIGEST, steps("web-1", 200), at=NOON)
    return state / "state.db"


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_what_was_written_is_there_after_opening_again(state: Path) -> None:
    used(state)
    with Store.open(state, create=False) as store:
        assert len(store.intents.unfinished()) == 200


def test_the_state_is_its_owners_alone(state: Path) -> None:
    before = os.umask(0)
    try:
        with Store.open(state, create=True) as store:
            store.audit.append("note", run=RUN, host="", body={}, at=NOON)
            assert {mode(path) for path in state.glob("state.db*")} == {0o600}
    finally:
        os.umask(before)
    assert mode(state) == 0o700


def test_every_commit_is_on_disk_before_it_returns(store: Store) -> None:
    with store._database.write() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


def test_a_directory_in_which_others_can_write_is_refused_and_left_as_it_is(state: Path) -> None:
    state.mkdir()
    state.chmod(0o1777)
    with pytest.raises(StoreError, match="others can write"):
        Store.open(state, create=True)
    assert state.stat().st_mode & 0o7777 == 0o1777


def test_without_leave_to_make_it_a_missing_state_is_an_error(state: Path) -> None:
    state.mkdir(mode=0o700)
    with pytest.raises(StoreError, match="there is no state"):
        Store.open(state, create=False)
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("sign", ["initialised", "state.db-wal"])
def test_a_database_that_vanished_is_never_replaced_by_an_empty_one(state: Path, sign: str) -> None:
    used(state).unlink()
    for path in state.iterdir():
        path.unlink()
    (state / sign).write_text("x")
    for opening in (lambda: Store.open(state, create=True), lambda: Store.open_readonly(state)):
        with pytest.raises(StoreError, match=r"state\.db is missing, but .*: restore it from a backup"):
            opening()
    assert [path.name for path in state.iterdir()] == [sign]


def test_an_empty_file_is_refused_and_stays_as_it_is(state: Path) -> None:
    path = used(state)
    path.write_bytes(b"")
    for opening in (lambda: Store.open(state, create=True), lambda: Store.open_readonly(state)):
        with pytest.raises(StoreError, match="is empty, which no state ever is: restore it"):
            opening()
    assert path.stat().st_size == 0


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_a_truncated_file_is_refused_and_stays_as_it_is(state: Path, share: float) -> None:
    path = used(state)
    os.truncate(path, int(path.stat().st_size * share))
    before = path.read_bytes()
    for opening in (lambda: Store.open(state, create=True), lambda: Store.open_readonly(state)):
        with pytest.raises(StoreError, match="restore it from a backup"):
            opening()
    assert path.read_bytes() == before


@pytest.mark.parametrize("pages", [slice(1, None), slice(-1, None)], ids=["all but the first", "only the last"])
def test_a_damaged_file_is_refused_and_stays_as_it_is(state: Path, pages: slice) -> None:
    path = used(state)
    content = bytearray(path.read_bytes())
    for offset in range(0, len(content), 4096)[pages]:
        content[offset : offset + 64] = random.Random(offset).randbytes(64)
    path.write_bytes(content)
    for opening in (lambda: Store.open(state, create=True), lambda: Store.open_readonly(state)):
        with pytest.raises(StoreError, match="restore it from a backup"):
            opening()
    assert path.read_bytes() == content


def test_a_file_that_is_no_database_is_refused(state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "state.db").write_text("hello " * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        Store.open(state, create=True)


def test_a_database_of_something_else_is_refused(state: Path) -> None:
    state.mkdir(mode=0o700)
    with sqlite3.connect(state / "state.db") as connection:
        connection.execute("CREATE TABLE songs (title)")
    with pytest.raises(StoreError, match="is no state of maintenancebot"):
        Store.open(state, create=True)


def test_a_database_of_a_newer_version_is_refused(state: Path) -> None:
    used(state)
    tamper(state, "UPDATE alembic_version SET version_num = '9999'")
    for opening in (lambda: Store.open(state, create=True), lambda: Store.open_readonly(state)):
        with pytest.raises(StoreError, match="written by a newer maintenancebot"):
            opening()


def test_another_database_in_the_place_of_the_first_is_refused(state: Path, tmp_path: Path) -> None:
    path = used(state)
    used(tmp_path / "other").replace(path)
    for opening in (lambda: Store.open(state, create=True), lambda: Store.open_readonly(state)):
        with pytest.raises(StoreError, match="is not the state that was kept here before"):
            opening()


def test_a_crash_before_the_marker_was_written_is_mended(state: Path) -> None:
    used(state)
    (state / "initialised").unlink()
    Store.open(state, create=True).close()
    assert (state / "initialised").exists()


def test_a_database_that_is_replaced_while_it_is_open_takes_no_more_writes(state: Path, store: Store) -> None:
    (state / "state.db").rename(state / "gone")
    with pytest.raises(StoreError, match="cannot be reached"):
        store.audit.append("note", run=RUN, host="", body={}, at=NOON)
    (state / "state.db").write_bytes((state / "gone").read_bytes())
    with pytest.raises(StoreError, match="was replaced while it was in use"):
        store.audit.append("note", run=RUN, host="", body={}, at=NOON)
    assert store.guard.stopped() is not None


def test_several_that_start_at_once_share_one_state(state: Path) -> None:
    opened: list[Store] = []
    threads = [threading.Thread(target=lambda: opened.append(Store.open(state, create=True))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in opened:
        store.audit.append("note", run=RUN, host="", body={}, at=NOON)
    assert [store.audit.verify().rows for store in opened] == [6] * 6
    for store in opened:
        store.close()
    assert sorted(path.name for path in state.iterdir()) == ["initialised", "state.db"]


def test_a_url_names_another_place(state: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/else%20where.db"
    Store.open(state, create=True, url=url).close()
    assert (tmp_path / "else where.db").exists()
    assert not (state / "state.db").exists()
    (tmp_path / "else where.db").unlink()
    with pytest.raises(StoreError, match="is missing"):
        Store.open(state, create=True, url=url)


def test_a_kind_of_database_that_is_not_supported_is_refused_without_its_password(state: Path) -> None:
    with pytest.raises(StoreError, match="a state in postgresql is not available") as caught:
        Store.open(state, create=True, url="postgresql://user:secret@host/db")
    assert "secret" not in str(caught.value)


def test_a_state_of_somebody_else_is_an_error_that_says_so(state: Path) -> None:
    state.mkdir()
    state.chmod(0)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may look everywhere, so be nobody
    try:
        with pytest.raises(StoreError, match="use the account that runs maintenancebot"):
            Store.open_readonly(state)
    finally:
        os.seteuid(user)
        state.chmod(0o700)
