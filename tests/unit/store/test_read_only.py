import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store import Store
from tests.unit.store.examples import DIGEST, NOON, RUN, steps


def looks(folder: Path) -> dict[str, tuple[bytes, int]]:
    paths = [folder, *folder.rglob("*")]
    return {str(path): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns) for path in paths}


def read_everything(store: Store) -> None:
    store.runs.latest(10)
    store.runs.unfinished()
    store.intents.unfinished()
    store.guard.stopped()
    store.machines.known("web-1")
    store.approvals.latest()
    store.approvals.approved_changes(at=NOON)
    store.breakers.all()
    store.leases.all(at=NOON)
    store.leases.holder("cycle", at=NOON)
    store.memories.read("web-1", "image")
    store.audit.verify()
    store.audit.actions_since(NOON)


def test_looking_at_a_state_changes_no_byte_and_no_time(state: Path) -> None:
    with Store.open(state, create=True) as store:
        store.intents.record(RUN, "web-1", DIGEST, steps("web-1", 3), at=NOON)
    before = looks(state)
    with Store.open_readonly(state) as store:
        assert len(store.intents.unfinished()) == 3
        read_everything(store)
        assert looks(state) == before
    assert looks(state) == before


def test_where_nothing_was_ever_kept_everything_is_empty_and_nothing_is_made(state: Path) -> None:
    with Store.open_readonly(state) as store:
        read_everything(store)
        assert store.runs.latest(10) == []
        assert store.guard.stopped() is None
        assert store.read_only
    assert not state.exists()


def test_nothing_can_be_written(state: Path) -> None:
    Store.open(state, create=True).close()
    for place in (state, state.parent / "none"):
        with Store.open_readonly(place) as store:
            assert not store.audit.probe_writable()
            with pytest.raises(StoreError, match="only reads"):
                store.intents.record(RUN, "web-1", DIGEST, steps("web-1", 1), at=NOON)


def test_a_run_at_work_is_seen_as_it_goes_on(state: Path, store: Store) -> None:
    with Store.open_readonly(state) as reader:
        for expected in (1, 2, 3):
            store.audit.append("note", run=RUN, host="", body={}, at=NOON)
            assert reader.audit.verify().rows == expected


def test_a_run_that_began_after_the_opening_is_seen_too(state: Path) -> None:
    Store.open(state, create=True).close()
    with Store.open_readonly(state) as reader:
        assert reader.audit.verify().rows == 0
        with Store.open(state, create=False) as store:
            store.audit.append("note", run=RUN, host="", body={}, at=NOON)
            assert reader.audit.verify().rows == 1
        assert reader.audit.verify().rows == 1


def test_an_answer_that_a_writer_may_have_spoilt_is_not_given(state: Path) -> None:
    with Store.open(state, create=True) as store:
        store.audit.append("note", run=RUN, host="", body={}, at=NOON)
    with Store.open_readonly(state) as reader:
        reading = reader._database.read()
        reading.__enter__()
        with Store.open(state, create=False) as store:
            store.audit.append("note", run=RUN, host="", body={}, at=NOON)
        with pytest.raises(StoreError, match="was written to while it was read"):
            reading.__exit__(None, None, None)


def test_what_a_killed_run_left_in_its_log_is_read(state: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from maintenancebot.store import Store
from tests.unit.store.examples import *
store = Store.open(Path({str(state)!r}), create=True)
store.intents.record(RUN, "web-1", DIGEST, steps("web-1", 3), at=NOON)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[3], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert (state / "state.db-wal").stat().st_size > 0
    with Store.open_readonly(state) as store:
        assert len(store.intents.unfinished()) == 3
        assert store.audit.verify().ok


def test_a_stop_file_in_a_state_without_a_database_is_seen(state: Path) -> None:
    state.mkdir()
    (state / "STOP").touch()
    with Store.open_readonly(state) as store:
        stop = store.guard.stopped()
    assert stop is not None
    assert stop.reason == f"{state}/STOP exists"


def test_a_name_with_signs_of_a_url_is_no_problem(tmp_path: Path) -> None:
    state = tmp_path / "a?b#c%20d"
    Store.open(state, create=True).close()
    with Store.open_readonly(state) as store:
        assert store.audit.verify().ok
    assert sorted(os.listdir(tmp_path)) == ["a?b#c%20d"]
