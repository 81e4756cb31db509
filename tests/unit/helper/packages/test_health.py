"""What was well before and is not well, or not stable, afterwards; what was bad before is nobody's fault."""

from __future__ import annotations

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.helper.packages import health, health_checks, health_containers, health_units

ARGS: dict[str, Any] = {"settle_seconds": 0.3, "http": [], "tcp": [], "ignore_units": []}
SHOWN = """\
Type=simple
Result=success
NRestarts=4
Id=demo.service
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/lib/systemd/system/demo.service
ActiveEnterTimestampMonotonic=90000000
InvocationID=abc
BusName=
TriggeredBy=
WantedBy=multi-user.target
RequiredBy=
Transient=no

Id=run-u5.service
ActiveState=active
Transient=yes

Id=mnt.mount
ActiveState=active
FragmentPath=
"""


class Quiet:
    """Stands where the helper's output stands."""

    def alive(self, doing: str) -> None:
        """Say nothing."""


def unit(state: str = "active", sub: str = "running", **more: Any) -> dict[str, Any]:
    plain = {"load": "loaded", "result": "success", "restarts": 0, "start": "one", "age": 100, "file": "/x"}
    return {**plain, "wanted": True, "on_demand": False, "needless": False, "state": state, "sub": sub, **more}


def compared(was: dict[str, Any], now: dict[str, Any] | None, **more: Any) -> dict[str, str]:
    after = {} if now is None else {"demo.service": now}
    return health_units.compare({"demo.service": was}, after, {**ARGS, **more})


def test_units_are_read_from_paragraphs_and_passing_ones_are_left_out() -> None:
    found = health_units.parse(SHOWN, 100.0)

    assert list(found) == ["demo.service"]
    assert {key: found["demo.service"][key] for key in ("state", "restarts", "start", "age", "wanted")} == {
        "state": "active",
        "restarts": 4,
        "start": "abc",
        "age": 10,
        "wanted": True,
    }


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (unit("failed", "failed", result="exit-code"), "is failed (failed), exit-code"),
        (unit("inactive", "dead"), "is inactive (dead)"),
        (unit("activating", "auto-restart", result="exit-code"), "ended (exit-code) and waits to be started again"),
        (unit("inactive", "dead", load="masked"), "was masked"),
        (unit("inactive", "dead", load="not-found"), "its unit file was removed"),
        (unit(restarts=3, age=2), "restarted 3 times by itself, the last time 2 s ago"),
    ],
)
def test_an_active_unit_must_be_active_afterwards(now: dict[str, Any], why: str) -> None:
    assert compared(unit(), now) == {"demo.service": why}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (unit(), unit(start="two", age=1)),
        (unit("inactive", "dead"), unit("inactive", "dead")),
        (unit("failed", "failed"), unit("failed", "failed")),
        (unit(wanted=False, on_demand=True), unit("inactive", "dead", wanted=False, on_demand=True)),
        (unit(wanted=False, on_demand=True), None),
        (unit(restarts=9, age=3), unit("failed", "failed")),
    ],
    ids=["restarted once", "was off", "was failed", "idle", "idle and forgotten", "was flapping"],
)
def test_what_is_no_fault_of_the_upgrade(was: dict[str, Any], now: dict[str, Any] | None) -> None:
    assert compared(was, now) == {}


@pytest.mark.parametrize(
    ("said", "needless"),
    [
        ("Type=oneshot\nConditionResult=no\nConditionTimestampMonotonic=9", True),
        ("Type=simple\nConditionResult=no\nConditionTimestampMonotonic=9", False),
        ("Type=oneshot\nConditionResult=yes\nConditionTimestampMonotonic=9", False),
        ("Type=oneshot\nConditionResult=no\nConditionTimestampMonotonic=0", False),
    ],
    ids=["its condition says so", "a daemon", "it ended", "nobody started it"],
)
def test_work_of_the_first_boot_is_not_missed_in_the_next(said: str, needless: bool) -> None:
    shown = f"Id=ldconfig.service\nLoadState=loaded\nActiveState=inactive\nSubState=dead\n{said}\n"
    now = health_units.parse(shown, 100.0)["ldconfig.service"]
    was = {"ldconfig.service": unit("active", "exited")}
    assert (health_units.compare(was, {"ldconfig.service": now}, ARGS) == {}) is needless


def test_a_unit_that_fails_for_the_first_time_is_told_and_may_be_ignored() -> None:
    now = unit("failed", "failed", result="exit-code")

    assert list(compared(unit("inactive", "dead"), now)) == ["demo.service"]
    assert compared(unit(), now, ignore_units=["dem*"]) == {}


def series(monkeypatch: pytest.MonkeyPatch, *looks: dict[str, Any]) -> list[dict[str, str]]:
    """Watch a unit that looks so, one look after the other; the last one stays."""
    shown = list(looks)
    monkeypatch.setattr(health_units, "look", lambda: {"demo.service": shown.pop(0) if len(shown) > 1 else shown[0]})
    monkeypatch.setattr(health, "LOOK_SECONDS", 0.02)
    before = {"units": {"demo.service": unit()}, "containers": None, "checks": {"http": {}, "tcp": {}}}
    return health.watch(before, ARGS, Quiet())


def test_restarts_that_systemd_hides_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = [unit(start=str(number), restarts=number, age=5) for number in range(3)]

    (fault,) = series(monkeypatch, *looks)

    assert (fault["kind"], fault["name"]) == ("unit", "demo.service")
    assert "restarted 2 times by itself" in fault["why"]


def test_one_early_restart_is_forgiven_and_a_late_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    again = unit(start="two", restarts=1, age=1)

    assert series(monkeypatch, unit(), again) == []
    assert [fault["name"] for fault in series(monkeypatch, *[unit()] * 12, again)] == ["demo.service"]


def test_a_host_that_cannot_be_looked_at_any_more_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_units, "look", lambda: None)
    before = {"units": {"demo.service": unit()}, "containers": None, "checks": {"http": {}, "tcp": {}}}

    assert [fault["name"] for fault in health.watch(before, ARGS, Quiet())] == ["all"]


class Pages(http.server.BaseHTTPRequestHandler):
    """/well answers 200, /moved redirects, all else fails."""

    def do_GET(self) -> None:
        self.send_response({"/well": 200, "/moved": 302}.get(self.path, 500))
        self.send_header("Location", "/well")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # named so by the base class
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[http.server.ThreadingHTTPServer]:
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


def test_pages_and_ports_are_asked_and_redirects_are_not_followed(server: http.server.ThreadingHTTPServer) -> None:
    base = f"http://127.0.0.1:{server.server_port}"

    assert health_checks.page(base + "/well", 200) == ""
    assert health_checks.page(base + "/moved", 200) == "answers 302 instead of 200"
    assert health_checks.port(f"127.0.0.1:{server.server_port}") == ""
    server.shutdown()
    server.server_close()
    assert "does not answer" in health_checks.page(base + "/well", 200)
    assert "takes no connection" in health_checks.port(f"127.0.0.1:{server.server_port}")


def test_only_checks_that_were_well_can_be_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_checks, "PAUSE_SECONDS", 0.01)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    args = {**ARGS, "tcp": [address]}

    assert health_checks.missing(health_checks.look(args), args) == []
    (fault,) = health_checks.missing({"http": {}, "tcp": {address: ""}}, args)
    assert (fault["kind"], fault["name"]) == ("tcp", address)


class Daemon(threading.Thread):
    """Answers on a unix socket as Docker does, for one container."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.state: dict[str, Any] = {"Status": "running", "StartedAt": "t1"}
        self.rows = [{"Id": "a1", "Names": ["/web"]}]
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(path))
        self.socket.listen(8)

    def run(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection:
                target = connection.recv(4096).split()[1]
                body: Any = self.rows if b"?all" in target else {"State": self.state, "RestartCount": 0}
                data = json.dumps(body).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)


def test_containers_that_ran_must_run(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    daemon = Daemon(path)
    daemon.start()
    before = health_containers.look(str(path))

    assert before == {"web": {"state": "running", "restarts": 0, "start": "t1", "health": ""}}
    assert health_containers.compare(before, before, ARGS) == {}
    daemon.state = {"Status": "exited"}
    now = health_containers.look(str(path))
    assert now is not None
    assert health_containers.compare(before, now, ARGS) == {"web": "is exited"}
    daemon.rows = []
    assert health_containers.compare(before, health_containers.look(str(path)) or {}, ARGS) == {"web": "is gone"}


def test_no_daemon_is_no_containers(tmp_path: Path) -> None:
    assert health_containers.look(str(tmp_path / "none.sock")) is None


def test_the_watch_lasts_as_long_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()

    assert series(monkeypatch, unit()) == []
    assert time.monotonic() - began >= 0.3
