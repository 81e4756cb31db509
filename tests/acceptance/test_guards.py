"""Guards on real hosts: one piece of work per host at a time, and a stop that is seen before every single change."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from maintenancebot.app import now
from maintenancebot.errors import StoreError
from maintenancebot.store import Store
from tests.acceptance.command import Bot, wait_while_running
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.tools import wait_until

MANY = 1000


@pytest.fixture
def host(make_host: Callable[..., LabHost]) -> LabHost:
    return make_host("web-1", disk_mib=600, prepare=lambda host: old_logs(host, 10))


def old_logs(host: LabHost, count: int) -> None:
    names = [f"/var/log/app/{number:04d}.x.log" for number in range(count)]
    for name in names:
        host.write(name, b"line\n" * 50)
    host.age(dict.fromkeys(names, 90.0))


def leases(bot: Bot) -> dict[str, tuple[str, int]]:
    """What is held now, by its name: for what, and by which process."""
    try:
        with Store.open_readonly(bot.state) as store:
            return {one.name: (one.doing, one.owner.pid) for one in store.leases.all(at=now())}
    except StoreError:  # written to while it was read
        return {}


def look(bot: Bot, fleet: Fleet) -> subprocess.Popen[str]:
    """A run that is held up while it looks at its frozen host."""
    fleet["web-1"].freeze()
    running = bot.start("run", "--task", "log_rotation", "--host", "web-1")
    wait_until(lambda: leases(bot).get("host:web-1", ("", 0))[1] == running.pid, "the host to be taken")
    return running


def test_one_run_at_a_time_and_a_killed_one_stands_in_nobodys_way(
    host: LabHost, own_fleet: Fleet, make_host: Callable[..., LabHost], tmp_path: Path
) -> None:
    make_host("web-2", disk_mib=600)
    bot = Bot(tmp_path, own_fleet, deletion={"caps": {"share": 1.0}})
    first = look(bot, own_fleet)
    try:
        assert leases(bot)["cycle"][1] == first.pid
        second = bot("run", "--task", "log_rotation", "--host", "web-2")
        assert second.code == 3
        assert f"another run is at work (process {first.pid}, " in second.err
        first.send_signal(signal.SIGKILL)
        assert bot("run", "--task", "log_rotation", "--host", "web-2").code == 0
    finally:
        own_fleet["web-1"].thaw()
        first.kill()
        first.communicate()
    third = bot("run", "--task", "log_rotation", "--json")
    assert third.code == 0, third.err
    assert leases(bot) == {}


def test_what_is_wanted_of_a_host_waits_for_the_run_that_has_it_and_says_so(
    host: LabHost, own_fleet: Fleet, tmp_path: Path
) -> None:
    bot = Bot(tmp_path, own_fleet, deletion={"caps": {"share": 1.0}})
    running = look(bot, own_fleet)
    other: subprocess.Popen[str] | None = None
    try:
        other = bot.start("remediate", "disk", "--host", "web-1", "--mount", "/", "--json")
        assert other.stderr is not None
        assert other.stderr.readline().startswith("web-1: waits for a look of run ")
        assert other.poll() is None
    finally:
        own_fleet["web-1"].thaw()
        out, err = running.communicate(timeout=200)
    assert running.returncode == 0, out + err
    out, err = other.communicate(timeout=200)
    assert other.returncode == 0, out + err


def test_a_file_that_somebody_touches_stops_a_cleanup_within_one_change(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1", disk_mib=600, prepare=lambda host: old_logs(host, MANY))
    guards = {"kill_switch_file": str(tmp_path / "further")}
    bot = Bot(tmp_path, own_fleet, deletion={"caps": {"share": 1.0}}, guards=guards)
    folder = host.live_path("/var/log/app")

    def made() -> int:
        return len(list(folder.glob("*.gz")))

    for place in (bot.state / "STOP", tmp_path / "further"):
        begun = made()
        running = bot.start("run", "--task", "log_rotation", "--json")
        wait_while_running(running, lambda begun=begun: made() > begun + 20, "the first files to be compressed")
        place.touch()
        before = made()
        out, err = running.communicate(timeout=200)
        assert running.returncode == 3, err
        assert made() <= before + 1 < MANY
        reasons = {one["reason"] for one in json.loads(out)["hosts"][0]["tasks"][0]["changes"]}
        assert reasons == {"verified", "stopped"}
        again = bot("run", "--task", "log_rotation", "--json")
        assert again.code == 3
        assert made() <= before + 1, "a restart does not forget it"
        place.unlink()
    assert bot("audit", "verify").code == 0
