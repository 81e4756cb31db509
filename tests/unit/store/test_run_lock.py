import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.store.run_lock import RunLock

HOLDING = """
import sys
from pathlib import Path
from maintenancebot.store.run_lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_run_is_refused_and_told_who_is_at_work(state: Path) -> None:
    with RunLock(state), pytest.raises(StoreError, match=rf"another run is at work \(process {os.getpid()}\)"):
        RunLock(state).__enter__()


def test_the_next_run_may_begin_after_the_end_of_the_first(state: Path) -> None:
    for _ in range(2):
        with RunLock(state):
            pass


def test_a_killed_run_does_not_stand_in_the_way(state: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(StoreError, match=f"process {child.pid}"):
        RunLock(state).__enter__()
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with RunLock(state):
        pass
