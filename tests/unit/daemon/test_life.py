"""Small parts of the daemon's life: cleanups, troubles, pulses, the dead man's switch."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from maintenancebot.daemon.cleanups import Cleanups
from maintenancebot.daemon.dead_man import RETRY_SECONDS, DeadMan
from maintenancebot.daemon.pulses import Pulse
from maintenancebot.daemon.troubles import Troubles
from maintenancebot.errors import StoreError
from tests.lab.tools import wait_until

SECONDS = 10


def told(caplog: pytest.LogCaptureFixture, action: str) -> list[dict[str, object]]:
    return [record.__dict__ for record in caplog.records if record.__dict__.get("action") == action]


def test_what_was_started_last_is_stopped_first_once_and_within_one_limit() -> None:
    clock, order = [100.0], []
    cleanups = Cleanups(lambda: clock[0])

    def slow(left: float) -> None:
        order.append(("slow", left))
        clock[0] += 7

    cleanups.add("server", lambda left: order.append(("server", left)))
    cleanups.add("store", lambda left: order.append(("store", left)))
    cleanups.add("slow", slow)
    assert cleanups.run(10)
    assert order == [("slow", 10), ("store", 3), ("server", 3)]
    assert cleanups.run(10)
    assert len(order) == 3


def test_a_part_that_does_not_end_is_told_and_the_others_are_stopped(caplog: pytest.LogCaptureFixture) -> None:
    stopped = []

    def fail(left: float) -> None:
        raise OSError("gone")

    cleanups = Cleanups()
    cleanups.add("first", lambda left: stopped.append("first"))
    cleanups.add("stuck", lambda left: False)
    cleanups.add("broken", fail)
    assert not cleanups.run(1)
    assert stopped == ["first"]
    assert [one["part"] for one in told(caplog, "left_behind")] == ["broken", "stuck"]


def test_a_trouble_is_said_when_it_begins_and_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    troubles = Troubles()
    with caplog.at_level(logging.INFO):
        for words in ("", "disk full", "disk full, again", "", ""):
            troubles.set("state", words)
    assert [(one["action"], one["about"]) for one in map(vars, caplog.records)] == [
        ("trouble", "state"),
        ("trouble_over", "state"),
    ]
    assert troubles.known() == {}


def test_a_pulse_beats_when_it_is_woken_and_again_after_errors(caplog: pytest.LogCaptureFixture) -> None:
    beats, troubles = [], Troubles()
    errors: list[Exception | None] = [StoreError("full"), StoreError("full"), ValueError("a fault"), None]

    def beat() -> None:
        beats.append(1)
        if len(beats) <= len(errors) and (error := errors[len(beats) - 1]):
            raise error

    pulse = Pulse("schedule", beat, 3600, troubles)
    pulse.start()
    for n in range(1, 4):
        wait_until(lambda n=n: len(beats) == n and "schedule" in troubles.known(), "it beat")
        pulse.wake()
    wait_until(lambda: len(beats) == 4 and not troubles.known(), "it is well again")
    assert len(told(caplog, "trouble")) == 1
    assert pulse.stop(SECONDS)


def test_a_pulse_beats_by_itself_after_a_while() -> None:
    beats: list[int] = []
    pulse = Pulse("schedule", lambda: beats.append(1), 0.01, Troubles())
    pulse.start()
    wait_until(lambda: len(beats) > 3, "it beat")
    assert pulse.stop(SECONDS)
    assert pulse.stop(SECONDS)


class Switch(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    server: Switch

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def switch() -> Iterator[Switch]:
    with Switch() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_the_dead_mans_switch_is_told_once_on_each_day_that_is_well(
    switch: Switch, caplog: pytest.LogCaptureFixture
) -> None:
    dead_man = DeadMan(lambda: f"http://127.0.0.1:{switch.server_port}/secret-path")
    monday, tuesday = date(2026, 11, 23), date(2026, 11, 24)
    with caplog.at_level(logging.INFO):
        for today, well, number in ((monday, False, 0), (monday, True, 1), (monday, True, 1), (tuesday, True, 2)):
            dead_man.each_day(today, is_well=lambda well=well: well)
            wait_until(lambda number=number: len(told(caplog, "dead_man")) == number, "it was told")
        dead_man.after_cycle()
        wait_until(lambda: len(told(caplog, "dead_man")) == 3, "it was told")
    assert switch.asked == ["/secret-path"] * 3


def test_a_switch_that_fails_is_told_without_its_address(switch: Switch, caplog: pytest.LogCaptureFixture) -> None:
    switch.status = 500
    dead_man = DeadMan(lambda: f"http://127.0.0.1:{switch.server_port}/secret-path")
    dead_man.after_cycle()
    wait_until(lambda: told(caplog, "dead_man_failed"), "the failure was told")
    assert "secret-path" not in caplog.text
    assert "secret-path" not in str(told(caplog, "dead_man_failed"))


def test_a_day_that_could_not_be_told_is_told_later(switch: Switch, caplog: pytest.LogCaptureFixture) -> None:
    clock, today = [100.0], date(2026, 11, 23)
    switch.status = 500
    dead_man = DeadMan(lambda: f"http://127.0.0.1:{switch.server_port}/path", lambda: clock[0])
    dead_man.each_day(today, is_well=lambda: True)
    wait_until(lambda: told(caplog, "dead_man_failed"), "the failure was told")
    switch.status = 200
    dead_man.each_day(today, is_well=lambda: pytest.fail("not at each look"))
    clock[0] += RETRY_SECONDS

    def is_asked() -> bool:
        dead_man.each_day(today, is_well=lambda: True)
        return len(switch.asked) == 2

    wait_until(is_asked, "it was asked again")


def test_an_address_that_is_none_is_told_without_it(caplog: pytest.LogCaptureFixture) -> None:
    DeadMan(lambda: "http://127.0.0.1:9/secret path").after_cycle()
    wait_until(lambda: told(caplog, "dead_man_failed"), "the failure was told")
    assert "secret" not in str(told(caplog, "dead_man_failed")).replace("secret-", "")


def test_without_an_address_nothing_is_asked_for() -> None:
    before = threading.active_count()
    dead_man = DeadMan(lambda: None)
    dead_man.after_cycle()
    dead_man.each_day(date(2026, 11, 23), is_well=lambda: pytest.fail("nobody needs to know"))
    assert threading.active_count() == before
