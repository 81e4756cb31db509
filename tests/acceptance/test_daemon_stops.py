"""The daemon ends in the middle of a run on a real host: in order, at once, or killed. Nothing is lost or redone."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.model import Reason, State
from maintenancebot.policy import slots
from maintenancebot.store import Store
from maintenancebot.store.slots import Slot
from tests.acceptance.command import TASKS, Bot
from tests.integration.daemon import Daemon
from tests.lab import apt
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.tools import wait_until

FILES = 600
CLEANUP = next(task for task in TASKS if task["name"] == "log_rotation")


class Site:
    """A daemon's place, with a cycle that is due and takes a while."""

    def __init__(self, folder: Path, fleet: Fleet, host: LabHost, task: dict[str, Any]) -> None:
        due = (datetime.now(UTC) - timedelta(minutes=1)).replace(second=0, microsecond=0)
        self.host, self.slot = host, int(due.timestamp())
        expression = f"{due.minute} {due.hour} * * *"
        more: dict[str, Any] = {"http": {"port": 0}, "deletion": {"caps": {"share": 1.0}}}
        self.bot = Bot(
            folder, fleet, tasks=[task], schedule=expression, schedules={"purge": None, "summary": None}, **more
        )
        self.daemons: list[Daemon] = []
        yesterday = due - timedelta(days=1)
        with self.store() as store:
            store.slots.begin("cycle", int(yesterday.timestamp()), slots.rule(expression, "UTC"), at=yesterday)

    def store(self) -> Store:
        return Store.open(self.bot.state, create=True)

    def start(self) -> Daemon:
        self.daemons.append(Daemon(self.bot.argv("daemon")))
        return self.daemons[-1]

    def packed(self) -> int:
        return len(list(self.host.live_path("/var/log/app").glob("*.gz")))

    def start_and_wait(self) -> Daemon:
        """A daemon whose run has made some of its changes."""
        daemon = self.start()
        daemon.wait_for("change", 20, seconds=60)
        return daemon

    def ended(self) -> Slot:
        with self.store() as store:
            return next(one for one in store.slots.recent(5) if one.slot == self.slot)


Make = Callable[..., Site]


@pytest.fixture
def make_site(make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path) -> Iterator[Make]:
    made: list[Site] = []

    def make(task: dict[str, Any], **options: Any) -> Site:
        made.append(Site(tmp_path, own_fleet, make_host("web-1", **options), task))
        return made[-1]

    yield make
    for daemon in (daemon for one in made for daemon in one.daemons):
        daemon.discard()


@pytest.fixture
def site(make_site: Make) -> Site:
    """A host with many old logs."""
    names = [f"/var/log/app/{number:04d}.x.log" for number in range(FILES)]

    def many(host: LabHost) -> None:
        for name in names:
            host.write(name, b"line\n" * 50)
        host.age(dict.fromkeys(names, 90.0))

    return make_site(CLEANUP, disk_mib=600, prepare=many)


def test_a_stop_finishes_the_change_in_hand_and_stores_the_report(site: Site) -> None:
    daemon = site.start_and_wait()
    assert daemon.end(signal.SIGTERM, 60) == 0
    made = site.packed()
    assert 20 <= made < FILES
    slot = site.ended()
    assert (slot.state, slot.reason) == (State.SKIPPED, Reason.INTERRUPTED)
    with site.store() as store:
        run = store.runs.get(slot.run)
        assert run is not None
        assert run.report is not None
        changes = run.report["hosts"][0]["tasks"][0]["changes"]
        assert [change["state"] for change in changes].count("done") == made
        assert {change["reason"] for change in changes if change["state"] != "done"} == {"interrupted"}
        assert store.intents.unfinished() == []
    again = site.start()
    again.wait_for("started")
    wait_until(lambda: again.get("/status")[1]["last_slots"], "the schedule is looked at")
    assert again.end() == 0
    assert (again.told("slot_begun"), site.packed()) == ([], made)


@pytest.mark.parametrize("how", ["twice", "killed"])
def test_what_was_cut_off_is_looked_up_at_the_next_start_and_the_slot_is_not_run_again(site: Site, how: str) -> None:
    daemon = site.start_and_wait()
    if how == "twice":
        daemon.send(signal.SIGTERM)
        daemon.wait_for("stopping")
        daemon.send(signal.SIGTERM)
        assert daemon.wait(10) in (128 + signal.SIGTERM, 0)
    else:
        daemon.send(signal.SIGKILL)
        assert daemon.wait(10) == -signal.SIGKILL
    with site.store() as store:
        left = len(store.intents.unfinished())
    again = site.start()
    again.wait_for("started")
    if left:
        again.wait_for("looked_up", left, 90)
    if how == "killed":
        assert left
        assert again.wait_for("slot_unfinished")["detail"] == "its process ended in the middle; hosts are asked"
    made = site.packed()
    assert again.end() == 0
    assert again.told("slot_begun") == []
    with site.store() as store:
        assert store.intents.unfinished() == []
        outcomes = store.audit.actions_since(datetime.now(UTC) - timedelta(hours=1))
        assert store.audit.verify().ok
    assert made == site.packed() <= outcomes


# In the middle of an upgrade


UPGRADE = {
    "name": "security_patches",
    "type": "package_update",
    "scope": "security_only",
    "approval": "auto",
    "health": {"settle_seconds": 1},
}
SLOW = "touch /run/begun; while ! test -e /run/go-on; do sleep 0.1; done"


@pytest.fixture
def upgrading(make_site: Make, make_repository: Callable[..., apt.Repository]) -> tuple[Site, Daemon]:
    """A daemon in whose run dpkg is at work, and waits for the file /run/go-on."""
    site, repository = make_site(UPGRADE), make_repository(apt.security("bookworm"))
    apt.remove_sources(site.host)
    apt.install(site.host, apt.Package("demo", "1.0"))
    repository.publish(apt.Package("demo", "1.0"))
    repository.publish(apt.Package("demo", "1.1", scripts={"postinst": SLOW}))
    repository.attach(site.host)
    daemon = site.start()
    wait_until(lambda: site.host.live_path("/run/begun").exists(), "dpkg is at work", 60)
    return site, daemon


def test_a_stop_waits_for_the_upgrade_in_hand(upgrading: tuple[Site, Daemon]) -> None:
    site, daemon = upgrading
    daemon.send(signal.SIGTERM)
    daemon.wait_for("stopping")
    assert daemon.get("/health/live")[0] == 200
    site.host.live_path("/run/go-on").touch()
    assert daemon.wait(60) == 0
    assert apt.installed(site.host, "demo") == "1.1"
    assert (site.ended().state, site.ended().reason) == (State.DONE, Reason.INTERRUPTED)


def test_an_upgrade_goes_on_without_the_daemon_and_the_next_one_finds_it(upgrading: tuple[Site, Daemon]) -> None:
    site, daemon = upgrading
    daemon.send(signal.SIGTERM)
    daemon.wait_for("stopping")
    daemon.send(signal.SIGTERM)
    assert daemon.wait(10) == 128 + signal.SIGTERM
    site.host.live_path("/run/go-on").touch()
    wait_until(lambda: apt.installed(site.host, "demo") == "1.1", "dpkg ended", 30)
    wait_until(lambda: "result" in site.host.sh("ls /var/lib/maintenancebot/upgrades/*"), "apt ended", 30)
    again = site.start()
    assert "found: done" in again.wait_for("looked_up", seconds=60)["detail"]
    assert again.end() == 0
    assert again.told("slot_begun") == []
    with site.store() as store:
        assert store.intents.unfinished() == []
