"""A detached run outlives the one who started it and is found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenancebot.helper.host import tools, unit

HELPER = Path(unit.__file__).parents[1]


class Quiet:
    """Stands where the helper's output stands."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def alive(self, doing: str) -> None:
        self.said.append(doing)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(unit, "FOLDER", str(tmp_path / "upgrades"))
    monkeypatch.setattr(unit, "POLL_SECONDS", 0.02)
    return tmp_path


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def start(name: str, *argv: str) -> unit.Run:
    return unit.start(name, list(argv), tools.environment(), {"packages": []}, systemd=False)


def test_the_exit_code_and_the_log_are_kept() -> None:
    run = start("one", "/bin/sh", "-c", "echo said; echo wrong >&2; umask; exit 7")

    assert run.wait(Quiet()) == 7
    assert run.tail() == ["said", "wrong", "0022"]
    assert not run.alive()
    assert [found.name for found in unit.runs()] == ["one"]
    assert run.record() == {"packages": []}


def test_the_program_sees_no_terminal_no_input_and_only_the_given_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MB_SECRET", "x")
    script = 'read x; echo "got[$x]"; env | cut -d= -f1 | grep -c MB_SECRET; test -t 0 || echo none'
    run = start("one", "/bin/sh", "-c", script)

    run.wait(Quiet())
    assert run.tail() == ["got[]", "0", "none"]


def test_it_goes_on_when_the_one_who_started_it_is_killed(folder: Path) -> None:
    code = (
        "import sys;sys.path.insert(0,sys.argv[1]);import importlib;u=importlib.import_module('helper.host.unit');"
        "u.FOLDER=sys.argv[2];from helper.host import tools;"
        "u.start('two',['/bin/sh','-c','while ! test -e '+sys.argv[3]+'; do sleep 0.05; done; echo went on'],"
        "tools.environment(),{},systemd=False);print('started',flush=True);sys.stdin.read()"
    )
    gate = folder / "gate"
    arguments = [sys.executable, "-c", code, str(HELPER.parent), unit.FOLDER, str(gate)]
    starter = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"started\n"

    os.killpg(starter.pid, signal.SIGKILL)
    starter.communicate()
    (run,) = unit.runs()
    wait_until(run.alive)
    assert run.exit_code() is None
    gate.touch()
    assert run.wait(Quiet()) == 0
    assert run.tail() == ["went on"]


def test_a_run_that_was_ended_from_outside_has_no_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    run = start("one", "/bin/sleep", "60")
    wait_until(run.alive)
    assert run._pid is not None
    assert os.getpgid(int(run._pid)) != os.getpgrp()

    os.killpg(os.getpgid(int(run._pid)), signal.SIGKILL)

    assert run.wait(Quiet()) is None
    assert not run.alive()


def test_progress_is_the_last_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "ALIVE_SECONDS", 0.05)
    out = Quiet()

    start("one", "/bin/sh", "-c", "echo Unpacking x; sleep 0.5").wait(out)

    assert "Unpacking x" in out.said


def test_a_name_is_used_once() -> None:
    start("one", "/bin/true").wait(Quiet())

    with pytest.raises(FileExistsError):
        start("one", "/bin/true")
