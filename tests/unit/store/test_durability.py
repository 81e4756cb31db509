"""What was acknowledged is there, whatever kills the process and whoever writes beside it."""

import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store import Store
from tests.unit.store.examples import DIGEST, NOON, RUN, done, steps

ROOT = Path(__file__).parents[3]
HOSTS, EACH = 8, 400

CLOSING = f"""
import sys, threading
from pathlib import Path
from maintenancebot.store import Store
from tests.unit.store.examples import *
store = Store.open(Path(sys.argv[1]), create=False)
def work(host):
    for one in steps(host, {EACH}):
        store.intents.close(RUN, [done(one)], host=host, at=NOON)
        sys.stdout.write(one.changes[0].id + "\\n")
        sys.stdout.flush()
for number in range({HOSTS}):
    threading.Thread(target=work, args=(f"web-{{number}}",)).start()
"""

APPENDING = """
import sys
from pathlib import Path
from maintenancebot.store import Store
from tests.unit.store.examples import *
with Store.open(Path(sys.argv[1]), create=True) as store:
    for number in range(150):
        store.audit.append("note", run=sys.argv[2], host="", body={"number": number}, at=NOON)
"""

FILLING = """
import resource, sys
from pathlib import Path
from maintenancebot.errors import StoreError
from maintenancebot.store import Store
from tests.unit.store.examples import *
store = Store.open(Path(sys.argv[1]), create=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, resource.RLIM_INFINITY))
written = 0
try:
    for number in range(10_000):
        store.audit.append("note", run=RUN, host="", body={"filler": "x" * 4000}, at=NOON)
        written += 1
except StoreError as error:
    print(written, store.audit.probe_writable(), error)
"""


def python(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(state: Path, seed: int) -> None:
    hosts = [f"web-{number}" for number in range(HOSTS)]
    with Store.open(state, create=True) as store:
        for host in hosts:
            store.intents.record(RUN, host, DIGEST, steps(host, EACH), at=NOON)
    child = python(CLOSING, str(state))
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(random.Random(seed).randrange(1, 400))]
    child.send_signal(signal.SIGKILL)
    # A last line that the kill cut in two says nothing.
    acknowledged += [line.strip() for line in child.stdout.readlines() if line.endswith("\n")]
    assert child.wait() == -signal.SIGKILL
    assert len(acknowledged) < HOSTS * EACH

    with Store.open(state, create=False) as store:
        still_open = {intent.change.id for intent in store.intents.unfinished()}
        verdict = store.audit.verify()
        closed = HOSTS * EACH - len(still_open)
    assert still_open.isdisjoint(acknowledged)
    assert verdict.ok
    assert verdict.rows == HOSTS * EACH + closed


def test_processes_that_write_at_the_same_time_make_one_chain(state: Path) -> None:
    children = [python(APPENDING, str(state), f"run-{number}") for number in range(3)]
    assert [child.wait() for child in children] == [0, 0, 0]
    for child in children:
        assert child.stdout is not None
        child.stdout.close()
    with Store.open(state, create=False) as store:
        verdict = store.audit.verify()
    assert (verdict.ok, verdict.rows) == (True, 450)


def test_a_full_disk_is_an_error_and_everything_written_before_stays(state: Path) -> None:
    child = python(FILLING, str(state))
    said, _ = child.communicate()
    written, writable, error = said.split(maxsplit=2)
    assert writable == "False"
    assert "cannot be written" in error
    with Store.open(state, create=False) as store:
        verdict = store.audit.verify()
    assert (verdict.ok, verdict.rows) == (True, int(written))


def test_a_state_that_does_not_fit_on_the_disk_leaves_nothing_behind(state: Path) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limit[1]))
    try:
        with pytest.raises(StoreError):
            Store.open(state, create=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(state.iterdir()) == []
    Store.open(state, create=True).close()


def test_a_writer_that_holds_the_database_for_ever_is_an_error_in_time(
    state: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    monkeypatch.setattr("maintenancebot.store.database.BUSY_MILLISECONDS", 50)
    busy = sqlite3.connect(state / "state.db", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    with Store.open(state, create=False) as other:
        assert not other.audit.probe_writable()
        with pytest.raises(StoreError, match="another process keeps it locked"):
            other.intents.close(RUN, [done(steps("web-1", 1)[0])], host="web-1", at=NOON)
        busy.close()
        assert other.audit.probe_writable()
