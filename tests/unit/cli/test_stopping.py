"""One Ctrl-C or SIGTERM asks for the end, a second Ctrl-C is the end; with real signals to a real process."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from maintenancebot.cli.stopping import stop_on_signals

PROGRAM = """
import sys, threading, time
from maintenancebot.cli.stopping import stop_on_signals

def change(stop):
    stop.wait()
    print("change goes on", flush=True)
    sys.stdin.readline()

with stop_on_signals() as stop:
    worker = threading.Thread(target=change, args=(stop,))
    worker.start()
    print("started", flush=True)
    worker.join()
print("ended in order", flush=True)
"""

ENDING = "\nmaintenancebot: ending after the change in hand; Ctrl-C again ends at once\n"


@pytest.fixture
def running() -> Iterator["subprocess.Popen[str]"]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
        process.kill()


def told(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_lets_the_change_in_hand_end(running: "subprocess.Popen[str]", number: signal.Signals) -> None:
    running.send_signal(number)
    assert told(running) == "change goes on\n"
    assert running.communicate("\n", timeout=10) == ("ended in order\n", ENDING)
    assert running.returncode == 0


def test_the_second_ctrl_c_ends_at_once(running: "subprocess.Popen[str]") -> None:
    running.send_signal(signal.SIGINT)
    assert told(running) == "change goes on\n"
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=10) == 130
    assert running.stderr is not None
    assert running.stderr.read() == ENDING + (
        "\nmaintenancebot: ended at once; the next start looks up what was unfinished\n"
    )


def test_a_second_sigterm_is_as_patient_as_the_first(running: "subprocess.Popen[str]") -> None:
    running.send_signal(signal.SIGTERM)
    assert told(running) == "change goes on\n"
    running.send_signal(signal.SIGTERM)
    assert running.communicate("\n", timeout=10) == ("ended in order\n", ENDING)


def test_afterwards_signals_are_what_they_were() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert isinstance(stop, threading.Event)
        assert not stop.is_set()
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
