"""One owner at a time, told apart by fences; a process that is gone stands in nobody's way."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from maintenancebot.errors import FencedError
from maintenancebot.store import Store
from maintenancebot.store.leases import Lease
from maintenancebot.store.owners import Owner, is_gone, this_process
from tests.unit.store.examples import DIGEST, NOON, RUN, done, later, steps

NAME = "host:web-1"

HOLDING = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from maintenancebot.store import Store
with Store.open(Path(sys.argv[1]), create=True) as store:
    assert store.leases.take("host:web-1", "a run", at=datetime.fromisoformat(sys.argv[2]), seconds=60)
    print("held", flush=True)
    sys.stdin.read()
"""

CONTENDING = """
import os, sys, time
from datetime import datetime, UTC
from pathlib import Path
from maintenancebot.store import Store

def contend(state, alone):
    with Store.open(state, create=False) as store:
        while (lease := store.leases.take("host:web-1", "a run", at=datetime.now(UTC), seconds=60)) is None:
            time.sleep(0.01)
        os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
        os.write(1, b"%d\\n" % lease.fence)
        alone.unlink()
        if lease.fence % 2:
            os.kill(os.getpid(), 9)
        store.leases.release(lease, at=datetime.now(UTC))

for _ in range(50):
    if os.fork() == 0:
        contend(Path(sys.argv[1]), Path(sys.argv[2]))
        os._exit(0)
print(sorted(os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(50)), file=sys.stderr)
"""


def take(store: Store, **span: float) -> Lease | None:
    return store.leases.take(NAME, "a run", at=later(**span), seconds=60)


def held(store: Store, **span: float) -> Lease:
    lease = take(store, **span)
    assert lease is not None
    return lease


def start(state: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(state), NOON.isoformat()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_nobody_gets_what_somebody_has_not_even_the_same_process(store: Store) -> None:
    first = held(store)
    assert take(store) is None
    holder = store.leases.holder(NAME, at=NOON)
    assert str(holder) == f"a run (process {os.getpid()})"
    store.leases.release(first, at=NOON)
    assert store.leases.holder(NAME, at=NOON) is None
    assert held(store).fence == first.fence + 1


def test_one_name_does_not_stand_in_the_way_of_another(store: Store) -> None:
    held(store)
    assert store.leases.take("host:web-2", "a run", at=NOON, seconds=60) is not None
    assert [one.name for one in store.leases.all(at=NOON)] == ["host:web-1", "host:web-2"]


def test_it_ends_by_itself_unless_it_is_renewed(store: Store) -> None:
    lease = held(store)
    store.leases.renew([lease], at=later(seconds=50), seconds=60)
    assert take(store, seconds=109) is None
    assert held(store, seconds=110).fence == 2


def test_a_former_owner_neither_renews_nor_gives_back_what_another_has(store: Store) -> None:
    former = held(store)
    now = held(store, seconds=61)
    store.leases.renew([former], at=later(seconds=62), seconds=6000)
    store.leases.release(former, at=later(seconds=62))
    store.leases.release(former, at=later(seconds=62))
    holder = store.leases.holder(NAME, at=later(seconds=62))
    assert holder is not None
    assert (holder.fence, holder.until) == (now.fence, later(seconds=121))
    assert store.leases.is_ours(now)
    assert not store.leases.is_ours(former)


def test_a_killed_process_frees_it_at_once_and_a_living_one_does_not(state: Path, store: Store) -> None:
    child = start(state)
    holder = store.leases.holder(NAME, at=NOON)
    assert holder is not None
    assert holder.owner.pid == child.pid
    assert take(store) is None
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table of processes
    assert held(store).fence == 2
    child.communicate()


def stored(state: Path, owner: Owner) -> None:
    """Put another owner into the lease's row."""
    import sqlite3

    connection = sqlite3.connect(state / "state.db")
    with connection:
        connection.execute("UPDATE leases SET owner = ?", [json.dumps(owner.to_json())])
    connection.close()


@pytest.mark.parametrize(
    ("other", "free"),
    [
        ({"started": "1"}, True),  # its number belongs to another process by now
        ({"boot": "b"}, True),  # this machine was restarted
        ({"pid": 2**22 - 1}, True),
        ({"pid": 1, "started": "0"}, True),
        ({"machine": "m", "boot": "b"}, False),  # another machine: nobody can see from here
        ({"namespace": "pid:[1]", "pid": 2**22 - 1}, False),  # a container of this machine
        ({"token": "other"}, False),
    ],
)
def test_only_a_process_that_has_ended_for_sure_loses_it_before_its_time(
    state: Path, store: Store, other: dict[str, str], free: bool
) -> None:
    held(store)
    stored(state, replace(this_process(), **other))
    assert (take(store) is not None) is free
    assert free or take(store, seconds=60) is not None


def test_a_process_whose_start_cannot_be_seen_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    us = this_process()
    monkeypatch.setattr("maintenancebot.store.owners._state_and_start", lambda pid: ("", ""))
    assert not is_gone(us, us)


def test_fifty_processes_have_it_one_after_the_other_though_half_of_them_are_killed(
    state: Path, store: Store, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", CONTENDING, str(state), str(tmp_path / "alone")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    assert sorted(map(int, ended.stdout.split())) == list(range(1, 51))
    assert json.loads(ended.stderr) == [-signal.SIGKILL] * 25 + [0] * 25, "nobody met another one"


def test_a_former_owner_writes_nothing_any_more(store: Store) -> None:
    former = held(store)
    first, second = steps("web-1", 2)
    store.intents.record(RUN, "web-1", DIGEST, [first], at=NOON, lease=former)
    held(store, seconds=61)
    rows = store.audit.verify().rows
    with pytest.raises(FencedError, match="the work on web-1 was taken over by somebody else"):
        store.intents.record(RUN, "web-1", DIGEST, [second], at=later(seconds=62), lease=former)
    with pytest.raises(FencedError):
        store.intents.close(RUN, [done(first)], host="web-1", at=later(seconds=62), lease=former)
    assert store.audit.verify().rows == rows
    assert [intent.step for intent in store.intents.unfinished()] == [first.id]


def test_it_writes_on_while_nobody_took_over_what_expired(store: Store) -> None:
    lease = held(store)
    store.intents.record(RUN, "web-1", DIGEST, steps("web-1", 1), at=later(hours=1), lease=lease)
    assert len(store.intents.unfinished()) == 1
