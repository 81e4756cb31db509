"""What systemd hears, over a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.daemon.systemd import Systemd


@pytest.fixture
def ear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def heard(ear: socket.socket) -> list[str]:
    return ear.recv(65536).decode("ascii").split("\n")


def test_each_state_is_told_with_a_line_for_people(ear: socket.socket) -> None:
    systemd = Systemd()
    systemd.ready("next: cycle Sunday")
    assert heard(ear) == ["READY=1", "STATUS=next: cycle Sunday"]
    systemd.status("at work: cycle")
    assert heard(ear) == ["STATUS=at work: cycle"]
    systemd.feed()
    assert heard(ear) == ["WATCHDOG=1"]
    systemd.stopping("ending")
    assert heard(ear) == ["STOPPING=1", "STATUS=ending"]


def test_a_reload_begins_with_the_monotonic_time(ear: socket.socket) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    Systemd().reloading()
    first, second = heard(ear)
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_is_one_line_of_ascii(ear: socket.socket) -> None:
    Systemd().status("h\u00f6st\nREADY=1 \udcff \U0001f600")
    assert heard(ear) == ["STATUS=h?st?READY=1 ? ?"]


def test_children_do_not_inherit_the_socket(ear: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    systemd = Systemd()
    assert (systemd.watchdog_seconds, systemd.pace) == (3.0, 1.0)
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)


def test_a_watchdog_of_another_process_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert Systemd().pace is None


def test_without_systemd_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd = Systemd()
    systemd.ready("x")
    assert systemd.pace is None
