"""The installed daemon over this very machine: what systemd hears, reloads, stops, two daemons, a full disk."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from maintenancebot.model import Reason, State
from maintenancebot.policy import slots
from maintenancebot.store import Store
from tests.integration.daemon import COMMAND, Daemon, listening
from tests.lab.tools import wait_until

TOKEN = "a-token-that-nobody-may-see"


class Site:
    """Configuration, inventory and state of one test."""

    def __init__(self, folder: Path) -> None:
        self.config, self.inventory, self.state = folder / "config.yaml", folder / "hosts.yaml", folder / "state"
        self.backup = folder / "db.dump"
        self.backup.write_bytes(b"data\n" * 1000)
        self.inventory.write_text(yaml.safe_dump({"hosts": {"this": {"connection": "local", "become": False}}}))
        self.daemons: list[Daemon] = []
        self.configure()

    def configure(self, **more: Any) -> None:
        source = {"type": "files", "name": "db", "path": str(self.backup)}
        task = {"name": "backups", "type": "verify", "check": "backup_completed_within_24h", "sources": [source]}
        base = {"schedule": None, "schedules": {"purge": None, "summary": None}, "http": {"port": 0}, "tasks": [task]}
        self.config.write_text(yaml.safe_dump({**base, **more}))

    def start(self, **environ: str) -> Daemon:
        places = ["--config", str(self.config), "--inventory", str(self.inventory), "--state-dir", str(self.state)]
        environ.setdefault("MAINTENANCEBOT_WEBHOOK_TOKEN", TOKEN)
        self.daemons.append(Daemon([str(COMMAND), *places, "daemon"], **environ))
        return self.daemons[-1]

    def make_due(self, **more: Any) -> datetime:
        """A cycle that is due since a minute ago, on a schedule that is known since yesterday."""
        due = (datetime.now(UTC) - timedelta(minutes=1)).replace(second=0, microsecond=0)
        expression = f"{due.minute} {due.hour} * * *"
        self.configure(schedule=expression, **more)
        yesterday = due - timedelta(days=1)
        with self.store() as store:
            store.slots.begin("cycle", int(yesterday.timestamp()), slots.rule(expression, "UTC"), at=yesterday)
        return due

    def store(self) -> Store:
        return Store.open(self.state, create=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for daemon in made.daemons:
        daemon.discard()


def causes(daemon: Daemon) -> dict[str, tuple[bool, str]]:
    _, answer = daemon.get("/health/ready")
    return {one["name"]: (one["ok"], one["detail"]) for one in answer["causes"]}


def test_a_slot_that_is_due_has_one_run_through_restarts(site: Site) -> None:
    due = site.make_due()
    first = site.start()
    first.wait_for("slot_finished", state="done")
    assert first.end() == 0
    second = site.start()
    second.wait_for("started")
    wait_until(lambda: causes(second)["scheduler"][0], "the schedule was looked at")
    assert second.end() == 0
    assert second.told("slot_claimed") == []
    with site.store() as store:
        latest = store.slots.recent(1)[0]
        assert (latest.slot, latest.state, latest.reason) == (int(due.timestamp()), State.DONE, Reason.NONE)
        assert [run.id for run in store.runs.latest(5)] == [latest.run]
        assert store.audit.verify().ok


def test_two_daemons_on_one_store_run_a_slot_once(site: Site) -> None:
    site.make_due(schedules={"purge": None, "summary": None})
    both = [site.start(), site.start()]
    for daemon in both:
        daemon.wait_for("started")
    wait_until(lambda: sum(len(daemon.told("slot_finished")) for daemon in both), "one of them ran it")
    for daemon in both:
        wait_until(lambda daemon=daemon: causes(daemon)["scheduler"][0], "it looked at the schedule")
        assert daemon.end() == 0
    assert sum(len(daemon.told("slot_claimed")) for daemon in both) == 1
    with site.store() as store:
        assert len(store.runs.latest(5)) == 1


def test_systemd_hears_of_start_reload_work_and_end(site: Site, tmp_path: Path) -> None:
    with listening(tmp_path / "notify") as ear:
        daemon = site.start(NOTIFY_SOCKET=str(ear.path), WATCHDOG_USEC="600000")
        wait_until(lambda: ear.number("READY=1"), "it is ready")
        wait_until(lambda: ear.number("WATCHDOG=1") > 2, "the watchdog is fed")
        daemon.send(signal.SIGHUP)
        wait_until(lambda: ear.number("READY=1") == 2, "the reload is over")
        (reloading,) = [lines for lines in ear.heard if "RELOADING=1" in lines]
        assert reloading[1].startswith("MONOTONIC_USEC=")
        assert daemon.end() == 0
        assert ear.number("STOPPING=1") == 1
        assert [line for lines in ear.heard for line in lines if line.startswith("STATUS=")]


def test_a_reload_with_faults_keeps_everything_and_says_so(site: Site, tmp_path: Path) -> None:
    site.configure(schedule="0 3 * * 0")
    with listening(tmp_path / "notify") as ear:
        daemon = site.start(NOTIFY_SOCKET=str(ear.path))
        daemon.wait_for("schedule_on")
        good = site.config.read_text()
        site.config.write_text(good + "nmae: typing error\n")
        daemon.send(signal.SIGHUP)
        assert "nmae" in daemon.wait_for("reload_refused")["why"]
        wait_until(lambda: ear.number("READY=1") == 2, "the reload is over")
        assert any("reload refused" in line for lines in ear.heard for line in lines)
        ok, detail = causes(daemon)["configuration"]
        assert (ok, "refused" in detail, "nmae" in detail) == (True, True, False)
        _, status = daemon.get("/status")
        assert [run["schedule"] for run in status["next_runs"]] == ["cycle"]
        site.configure(schedule="0 4 * * 0")
        daemon.send(signal.SIGHUP)
        daemon.wait_for("reloaded")
        daemon.wait_for("schedule_on", rule="0 4 * * 0 UTC")
        wait_until(lambda: causes(daemon)["configuration"] == (True, ""), "health says so")
        site.inventory.write_text("hosts: {bad host: {}}")
        daemon.send(signal.SIGHUP)
        assert "bad host" in daemon.wait_for("reload_refused", 2)["why"]
        assert daemon.end() == 0


def test_what_only_a_restart_can_change_is_refused_as_a_whole(site: Site) -> None:
    site.configure(schedule="0 3 * * 0")
    daemon = site.start()
    daemon.wait_for("schedule_on")
    site.configure(schedule="0 4 * * 0", guards={"kill_switch_file": "/run/stop-maintenancebot"})
    daemon.send(signal.SIGHUP)
    words = "guards.kill_switch_file cannot change while the daemon runs; restart it"
    assert daemon.wait_for("reload_refused")["why"] == words
    _, status = daemon.get("/status")
    assert "03:00" in status["next_runs"][0]["words"]
    assert daemon.end() == 0


def test_no_secret_is_told_anywhere(site: Site) -> None:
    daemon = site.start()
    daemon.wait_for("started")
    answers = [str(daemon.get(path)) for path in ("/health/live", "/health/ready", "/status", "/metrics")]
    daemon.end()
    assert TOKEN not in "".join([*answers, *daemon.lines])
    assert TOKEN not in Path(f"/proc/{os.getpid()}/cmdline").read_text()


def test_a_new_secret_holds_from_the_next_start_on_and_the_old_one_stays_hidden(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "webhook_token").write_text(TOKEN)
    daemon = site.start(MAINTENANCEBOT_WEBHOOK_TOKEN="", CREDENTIALS_DIRECTORY=str(folder))
    daemon.wait_for("started")
    (folder / "webhook_token").unlink()
    daemon.send(signal.SIGHUP)
    daemon.wait_for("reloaded")
    site.inventory.write_text(f"hosts: {{this: {{{TOKEN}: x}}}}")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("reload_refused")
    assert causes(daemon)["webhook"][0]  # it is guarded by the old one
    assert daemon.end() == 0
    assert TOKEN not in "\n".join(daemon.lines)


def test_without_a_token_health_is_served_and_the_webhook_is_not(site: Site) -> None:
    daemon = site.start(MAINTENANCEBOT_WEBHOOK_TOKEN="")
    daemon.wait_for("started")
    assert daemon.get("/webhooks/alertmanager")[0] == 404
    assert causes(daemon)["webhook"][0] is False
    assert daemon.get("/health/live")[0] == 200
    assert daemon.end() == 0


def test_a_configuration_with_faults_does_not_start(site: Site) -> None:
    site.config.write_text("nmae: x\n")
    daemon = site.start()
    assert daemon.wait() == 2
    assert "nmae" in "\n".join(daemon.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_with_open_connections(site: Site, number: signal.Signals) -> None:
    import socket

    daemon = site.start()
    with socket.create_connection(("127.0.0.1", daemon.port)) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\n")
        began = time.monotonic()
        assert daemon.end(number) == 0
        assert time.monotonic() - began < 20


# A state that cannot be written


@pytest.fixture
def damaged(site: Site) -> Site:
    with site.store():
        pass
    (site.state / "state.db").rename(site.state / "state.away")
    return site


def test_a_state_that_is_missing_is_told_and_taken_up_again(damaged: Site) -> None:
    daemon = damaged.start()
    assert "is missing" in daemon.wait_for("trouble", about="state")["detail"]
    status, ready = daemon.get("/health/ready")
    assert (status, ready["ready"], ready["causes"][0]["name"]) == (503, False, "store")
    assert "is missing" in ready["causes"][0]["detail"]
    assert not (damaged.state / "state.db").exists()
    (damaged.state / "state.away").rename(damaged.state / "state.db")
    daemon.wait_for("trouble_over", about="state")
    wait_until(lambda: daemon.get("/health/ready")[0] == 200, "it is ready")
    assert len(daemon.told("trouble")) == 1
    assert daemon.end() == 0
