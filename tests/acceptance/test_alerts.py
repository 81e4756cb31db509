"""Alerts of a real Prometheus and real Alertmanagers heal a real host once, whatever is sent again and whoever dies."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.daemon import TOKEN, Daemon, Sender, daemon_for
from tests.acceptance.test_disk import TARGET, fill, log, old_disk, used
from tests.lab.alerting import Alertmanager, Exporter, Prometheus
from tests.lab.disks import Disk
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until

MIB = 2**20
LONG = os.environ.get("LAB_LONG") == "1"
NAME = "NodeFilesystemAlmostOutOfSpace"
SECOND = 10**6
"""Times are kept in microseconds."""


@pytest.fixture(scope="module")
def shared(make_fleet: Callable[..., Fleet]) -> Fleet:
    """One host for all tests of this module; each brings its own disk."""
    return make_fleet(HostSpec("web-1", release="bookworm"))


@pytest.fixture
def host(shared: Fleet) -> LabHost:
    return shared["web-1"]


@pytest.fixture
def running() -> Iterator[list[Any]]:
    """What is closed at the end of the test, the newest first."""
    made: list[Any] = []
    yield made
    for one in reversed(made):
        one.close()


def start(tmp_path: Path, fleet: Fleet, mount: str, running: list[Any], **more: Any) -> Daemon:
    """A daemon that may compress the old logs of a mount to heal it."""
    pattern = {"path": f"{mount}/logs/*.log", "retention_days": 30}
    daemon = daemon_for(
        tmp_path,
        fleet,
        tasks=[{"name": "logs", "type": "cleanup", "patterns": [pattern]}],
        deletion={"allow": [f"{mount}/logs"], "caps": {"share": 1.0}},
        remediation={"disk": {"target_percent": TARGET, "ways": ["compressed"]}, **more},
    )
    running.append(daemon)
    return daemon.start()


def alertmanagers(tmp_path: Path, daemon: Daemon, running: list[Any], *, clustered: bool) -> list[Alertmanager]:
    """Two of them; where they do not hear of each other, both send everything."""
    pair = [Alertmanager(tmp_path / f"am{number}", daemon.webhook, TOKEN) for number in range(2)]
    running += pair
    return [one.start(*pair if clustered else ()) for one in pair]


def full_disk(host: LabHost, mount: str, logs: int = 20) -> Disk:
    disk = old_disk(host, mount, {f"logs/{number:04}.log": log(6 * MIB) for number in range(logs)})
    fill(disk)
    return disk


def test_a_rule_of_prometheus_heals_a_full_disk_within_seconds(
    host: LabHost, shared: Fleet, tmp_path: Path, running: list[Any]
) -> None:
    mount = "/srv/alerted"
    disk = full_disk(host, mount)
    daemon = start(tmp_path, shared, mount, running)
    pair = alertmanagers(tmp_path, daemon, running, clustered=True)
    exporter = Exporter("web-1:9100", mount, disk.mount_point)
    running.append(exporter)
    running.append(Prometheus(tmp_path / "prometheus", exporter, *pair).start())
    (episode,) = daemon.wait_for_end()
    assert (episode["state"], episode["reason"], episode["subject"]) == ("closed", "verified", mount)
    assert used(host, mount) < TARGET
    ((received,),) = daemon.rows("SELECT min(received_at) FROM alerts")
    seconds = (episode["closed_at"] - received) / SECOND
    print(f"\nfrom the alert to the verified fix: {seconds:.2f} s")
    assert seconds < 10
    assert episode["body"]["after"]["percent"] == used(host, mount)
    resolved = "SELECT count(*) FROM alerts WHERE status = 'resolved'"
    wait_until(lambda: daemon.rows(resolved)[0][0] == 1, "Prometheus and Alertmanager see that it is over")
    assert len(daemon.episodes()) == 1
    assert daemon.bot("audit", "verify").code == 0


def test_the_same_alert_ten_thousand_times_with_restarts_between_is_one_remediation(
    host: LabHost, shared: Fleet, tmp_path: Path, running: list[Any]
) -> None:
    mount = "/srv/repeated"
    full_disk(host, mount)
    daemon = start(tmp_path, shared, mount, running)
    pair = alertmanagers(tmp_path, daemon, running, clustered=False)
    starts_at = datetime.now(UTC).isoformat()
    labels = {"alertname": NAME, "instance": "web-1:9100", "mountpoint": mount}
    for one in pair:
        one.send(labels, starts_at=starts_at)
    copies = 1 if LONG else 10
    alert = {"status": "firing", "labels": labels, "startsAt": starts_at, "fingerprint": "f" * 16}
    group = {"version": "4", "alerts": [alert] * copies}
    left = itertools.count()
    stop = threading.Event()

    def send_all() -> int:
        answered = 0
        with Steady(daemon) as sender:
            while next(left) < 10_000 // copies and not stop.is_set():
                answered += copies * sender.send(group, stop)
        return answered

    with ThreadPoolExecutor(2) as senders:
        try:
            sent = [senders.submit(send_all) for _ in range(2)]
            for state in ("gated", "closed", "closed"):
                wait_until(lambda state=state: _reached(daemon, state), f"an episode is {state}", 60)
                daemon.kill()
                daemon.start()
            answered = sum(one.result(600) for one in sent)
        finally:
            stop.set()
    assert answered >= 10_000
    (episode,) = daemon.wait_for_end()
    assert (episode["state"], episode["reason"]) == ("closed", "verified")
    assert used(host, mount) < TARGET
    ((times, rows),) = daemon.rows("SELECT sum(times), count(*) FROM alerts")
    assert times > 10_000
    assert rows == 2, "what Alertmanager calls the same is one, and what the two senders do"
    assert made_twice(daemon) == []
    assert daemon.told("escalated") == []


def made_twice(daemon: Daemon) -> list[tuple[Any, ...]]:
    """Changes that were made or tried more than once; there must be some that were."""
    touched = "FROM intents WHERE closed_at IS NULL OR state IN ('done', 'failed', 'unknown')"
    assert daemon.rows(f"SELECT 1 {touched}")
    return daemon.rows(f"SELECT change_id {touched} GROUP BY change_id HAVING count(*) > 1")


def test_a_daemon_that_dies_in_the_middle_goes_on_with_what_is_left(
    host: LabHost, shared: Fleet, tmp_path: Path, running: list[Any]
) -> None:
    mount = "/srv/broken-off"
    disk = old_disk(host, mount, {f"logs/{number:04}.log": log(400 * 1024) for number in range(300)})
    fill(disk)
    daemon = start(tmp_path, shared, mount, running)
    with daemon.sender() as sender:
        assert sender.post({"alerts": [{"name": NAME, "host": "web-1", "mount": mount}]}) == 200
    done = "SELECT count(*) FROM intents WHERE state = 'done'"
    wait_until(lambda: daemon.rows(done)[0][0] >= 5, "the first changes are made", 60)
    daemon.kill()
    before = daemon.rows(done)[0][0]
    daemon.start()
    (episode,) = daemon.wait_for_end()
    assert (episode["state"], episode["reason"]) == ("closed", "verified")
    assert used(host, mount) < TARGET
    assert len(episode["body"]["runs"]) == 2
    assert daemon.rows(done)[0][0] > before
    assert made_twice(daemon) == []
    assert daemon.told("escalated") == []


def _reached(daemon: Daemon, state: str) -> bool:
    order = ("opened", "measured", "diagnosed", "planned", "gated", "acted", "verified", "closed")
    return any(order.index(one["state"]) >= order.index(state) for one in daemon.episodes())


class Steady:
    """A sender that keeps its connection, and begins a new one where the daemon went away."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._sender = Sender(daemon.port)

    def __enter__(self) -> Steady:
        return self

    def __exit__(self, *_: object) -> None:
        self._sender.close()

    def post(self, document: Any, form: str = "generic") -> bool:
        """Send once; whether it was answered with 200."""
        try:
            return self._sender.post(document, form) == 200
        except (OSError, HTTPException):
            self._sender.close()
            self._sender = Sender(self._daemon.port)
            return False

    def send(self, group: dict[str, Any], stop: threading.Event) -> bool:
        """Send until it was answered, as Alertmanager does."""
        while not stop.is_set():
            if self.post(group, "alertmanager"):
                return True
            stop.wait(0.05)
        return False


def test_a_disk_filled_by_what_nobody_may_touch_is_tried_once_and_escalated_once_by_name(
    host: LabHost, shared: Fleet, tmp_path: Path, running: list[Any]
) -> None:
    mount = "/srv/stuck"
    disk = full_disk(host, mount, logs=1)
    table = disk.mount_point / "db" / "table"
    before = table.stat()
    daemon = start(tmp_path, shared, mount, running)
    alert = {"name": NAME, "host": "web-1", "mount": mount}
    for hour in range(5):
        with daemon.sender() as sender:
            assert sender.post({"alerts": [{**alert, "starts_at": f"2026-11-21T0{hour}:00:00Z"}]}) == 200
        (episode,) = daemon.wait_for_end()
    # What the allowed ways gave back is a few bytes or none, and the reason follows the measure.
    wanted = "not_enough" if episode["body"]["freed"] > 0 else "no_effect"
    assert (episode["state"], episode["reason"]) == ("escalated", wanted), episode
    daemon.kill()
    daemon.start()
    (told,) = daemon.told("escalated")
    assert (told["host"], told["subject"], told["reason"]) == ("web-1", mount, "not_enough")
    assert f"{mount}/db" in {row["path"] for row in told["users"]["directory"]}
    assert f"{mount}/db/table" in {row["path"] for row in told["users"]["file"]}
    assert told["tried"]["counts"] == {"done": 1}
    assert [one["name"] for one in told["tried"]["changes"]] == [f"{mount}/logs/0000.log"]
    assert len(daemon.rows("SELECT 1 FROM intents")) == 1
    wait_until(lambda: len(daemon.rows("SELECT 1 FROM alerts WHERE settled_at IS NOT NULL")) == 5, "all are settled")
    assert {row[0] for row in daemon.rows("SELECT reason FROM alerts")} == {"", "cooldown"}
    assert table.stat() == before


def test_what_was_answered_is_stored_whatever_kills_the_daemon(
    shared: Fleet, tmp_path: Path, running: list[Any]
) -> None:
    """200 alerts a second; each has a name of its own, and the store must hold each that was answered with a 2xx."""
    daemon = start(tmp_path, shared, "/srv/none", running)
    seconds, senders, rate = (60, 8, 200) if LONG else (10, 8, 200)
    waits: list[float] = []
    answered: list[str] = []
    clock = threading.Event()

    def send(sender: int) -> None:
        pace, began = senders / rate, time.monotonic()
        with Steady(daemon) as steady:
            for number in range(seconds * rate // senders):
                clock.wait(max(0.0, began + number * pace - time.monotonic()))
                name, at = f"Alert{sender}-{number}", time.monotonic()
                if steady.post({"alerts": [{"name": name, "host": "nobody"}]}):
                    waits.append(time.monotonic() - at)
                    answered.append(name)

    with ThreadPoolExecutor(senders) as pool:
        sent = [pool.submit(send, number) for number in range(senders)]
        wait_until(lambda: len(answered) > seconds * rate // 2, "half of them were sent", 120)
        daemon.kill()
        daemon.start()
        for one in sent:
            one.result(300)
    waits.sort()
    p50, p99 = (waits[int(len(waits) * part)] * 1000 for part in (0.5, 0.99))
    print(f"\n{len(answered)} alerts in {seconds} s: durable answers p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    stored = {row[0] for row in daemon.rows("SELECT json_extract(body, '$.name') FROM alerts")}
    assert set(answered) - stored == set()
    assert len(answered) > seconds * rate // 2
    assert p99 < 1000
    wait_until(lambda: not daemon.rows("SELECT 1 FROM alerts WHERE settled_at IS NULL"), "all are settled", 60)
    assert {row[0] for row in daemon.rows("SELECT reason FROM alerts")} == {"no_rule"}
