"""This machine, through the same interface as a host behind SSH: real processes, real sockets."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import shlex
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason
from maintenancebot.remote import bundle
from maintenancebot.remote.client import HelperCall, Limits
from maintenancebot.remote.local import LocalExecution, LocalSession

HERE = Host("box", "local", connection="local", become=False)
PROBE = {"mode": "probe", "now": 0, "lock": "none", "lock_wait": 0, "machine_id": "", "tasks": []}


def python(program: str, timeout: float = 5) -> LocalExecution:
    return LocalExecution([sys.executable, "-c", program], timeout)


def drain(execution: LocalExecution, limit: float = 10) -> tuple[bytes, bytes]:
    out, err, end = b"", b"", time.monotonic() + limit
    while (received := execution.receive(1)) is not None:
        out, err = out + received[0], err + received[1]
        assert time.monotonic() < end
    return out, err


def test_both_outputs_come_and_then_their_end() -> None:
    execution = python("import sys; print('out'); print('err', file=sys.stderr)")
    assert drain(execution) == (b"out\n", b"err\n")
    assert execution.receive(0) is None
    assert execution.exit_status() == 0
    execution.close()


@pytest.mark.parametrize(
    ("program", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", None)]
)
def test_an_exit_code_is_told_and_a_signal_is_not(program: str, status: int | None) -> None:
    execution = python(program)
    drain(execution)
    assert execution.exit_status() == status
    execution.close()


def test_silence_is_nothing_yet_and_not_the_end() -> None:
    execution = python("import sys; sys.stdin.read()")
    started = time.monotonic()
    assert execution.receive(0.2) == (b"", b"")
    assert time.monotonic() - started >= 0.2
    execution.close()


def test_what_is_said_while_we_still_write_is_kept() -> None:
    big = 3_000_000
    program = f"import sys; sys.stdout.write('x' * {big}); sys.stdout.flush(); print(len(sys.stdin.buffer.read({big})))"
    execution = python(program, timeout=20)
    execution.send(b"y" * big)
    out, _ = drain(execution, 30)
    assert out == b"x" * big + b"%d\n" % big
    execution.close()


def test_a_process_that_reads_nothing_is_hung_in_time() -> None:
    execution = python("import time; time.sleep(30)", timeout=0.5)
    started = time.monotonic()
    with pytest.raises(RemoteError) as caught:
        execution.send(b"y" * 3_000_000)
    assert (caught.value.reason, str(caught.value)) == (Reason.HUNG, "the helper does not read its input")
    assert time.monotonic() - started < 5
    execution._process.kill()
    execution.close()


def test_a_process_that_ended_before_it_read_has_still_said_its_last_words() -> None:
    execution = python("print('no room')")
    execution._process.wait(10)
    execution.send(b"y" * 3_000_000)
    assert drain(execution) == (b"no room\n", b"")
    execution.close()


def test_a_flood_while_we_write_does_not_fill_the_memory() -> None:
    execution = LocalExecution(["/usr/bin/yes"], 10)
    execution.send(b"y" * 3_000_000)
    kept = execution.receive(0)
    assert kept is not None
    assert len(kept[0]) < 6 * 1024 * 1024
    execution.close()


def test_the_end_of_its_input_ends_the_process_and_closing_does_not_wait_for_ever() -> None:
    execution = python("import sys, time; sys.stdin.read(); time.sleep(0.1)")
    execution.close()
    assert execution._process.poll() == 0
    stubborn = python("import time; time.sleep(60)")
    started = time.monotonic()
    stubborn.close()
    assert time.monotonic() - started < 5
    assert stubborn._process.poll() is None, "a change in hand is finished, never killed"
    stubborn._process.kill()
    stubborn._process.wait()


def test_a_program_that_is_not_there_is_unsupported() -> None:
    with pytest.raises(RemoteError) as caught:
        LocalExecution(["/nowhere/python3"], 1)
    assert (caught.value.reason, str(caught.value)) == (
        Reason.UNSUPPORTED,
        "cannot start /nowhere/python3: No such file or directory",
    )


def test_no_descriptor_stays_open() -> None:
    gc.collect()
    before = descriptors()
    for _ in range(5):
        execution = python("print('x')")
        drain(execution)
        execution.close()
    assert descriptors() - before == set()  # what earlier tests left may close meanwhile


def descriptors() -> set[tuple[str, str]]:
    """Number and target of what this process has open, but for the folder that tells them."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add((number, os.readlink(f"/proc/self/fd/{number}")))
    return found


def test_the_helper_answers_here_as_it_does_elsewhere() -> None:
    session = LocalSession(HERE, 10)
    frames = list(HelperCall(session, PROBE, Limits(idle=10, deadline=20)).frames())
    session.close()
    ((kind, facts),) = frames
    assert (kind, facts["uid"]) == ("facts", os.geteuid())
    assert facts["machine_id"] == Path("/etc/machine-id").read_text().strip()


def test_nothing_of_the_operators_environment_reaches_the_helper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken over')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    monkeypatch.chdir(tmp_path)
    frames = list(HelperCall(LocalSession(HERE, 10), PROBE, Limits(idle=10, deadline=20)).frames())
    assert [kind for kind, _ in frames] == ["facts"]


def argv_of(session: LocalSession, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    started: list[list[str]] = []
    monkeypatch.setattr(LocalExecution, "__init__", lambda self, argv, timeout: started.append(argv))
    session.start_helper()
    return started[0]


@pytest.mark.parametrize("uid", [0, 1000])
def test_without_become_no_sudo_is_asked(uid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(subprocess, "run", lambda *a, **more: pytest.fail("sudo was asked"))
    assert argv_of(LocalSession(HERE, 1), monkeypatch)[0] == "/usr/bin/python3"


@pytest.mark.parametrize(
    ("become", "works", "by_sudo"), [(True, False, True), (None, True, True), (None, False, False)]
)
def test_sudo_is_used_when_wanted_or_when_it_works(
    become: bool | None, works: bool, by_sudo: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess([], 0 if works else 1)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(subprocess, "run", lambda *a, **more: answer)
    argv = argv_of(LocalSession(Host("box", "local", connection="local", become=become), 1), monkeypatch)
    assert argv[-len(_command()) :] == _command()
    assert argv[: len(argv) - len(_command())] == (bundle.BECOME["sudo"].split() if by_sudo else [])


def _command() -> list[str]:
    return shlex.split(bundle.COMMAND)


def test_without_sudo_on_this_machine_a_newcomer_still_gets_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*words: object, **more: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(subprocess, "run", missing)
    session = LocalSession(Host("box", "local", connection="local"), 1)
    assert argv_of(session, monkeypatch)[0] == "/usr/bin/python3"


# Sockets


def test_a_socket_of_this_machine_is_spoken_to(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.listen()
    stream = LocalSession(HERE, 1).open_unix(str(tmp_path / "s"), 5)
    accepted, _ = server.accept()
    stream.sendall(b"hello")
    assert accepted.recv(10) == b"hello"
    for one in (stream, accepted, server):
        one.close()


def nobody_listens(path: Path) -> str:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path / "s"))
    server.close()
    return f"{path}/s: Connection refused"


def not_there(path: Path) -> str:
    return f"{path}/s: No such file or directory"


def a_file(path: Path) -> str:
    (path / "s").touch()
    return f"{path}/s: Connection refused"


@pytest.mark.parametrize("make", [nobody_listens, not_there, a_file])
def test_a_socket_where_nobody_listens_does_not_respond(make: Callable[[Path], str], tmp_path: Path) -> None:
    words = make(tmp_path)
    with pytest.raises(RemoteError) as caught:
        LocalSession(HERE, 1).open_unix(str(tmp_path / "s"), 5)
    assert (caught.value.reason, str(caught.value)) == (Reason.NOT_RESPONDING, words)


def test_a_path_too_long_for_a_socket_does_not_respond() -> None:
    with pytest.raises(RemoteError) as caught:
        LocalSession(HERE, 1).open_unix("/" + "x" * 200, 5)
    assert caught.value.reason is Reason.NOT_RESPONDING


@pytest.mark.skipif(os.geteuid() != 0, reason="root may open any socket; another user is made of it")
def test_a_socket_of_somebody_else_is_refused(tmp_path: Path) -> None:
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.listen()
    os.chmod(tmp_path / "s", 0o600)
    caught: list[RemoteError] = []

    def as_nobody() -> None:
        # The identity of this thread alone: glibc's own call would change all of them.
        ctypes.CDLL(None).syscall(122, 65534)  # setfsuid
        try:
            LocalSession(HERE, 1).open_unix(str(tmp_path / "s"), 5)
        except RemoteError as error:
            caught.append(error)

    thread = threading.Thread(target=as_nobody)
    thread.start()
    thread.join()
    server.close()
    assert [error.reason for error in caught] == [Reason.BECOME_REFUSED]
