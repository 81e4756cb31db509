"""Upgrades and reboots over a fleet: canaries first, one failure budget, quorum groups, and every way to be stopped."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.command import Answer, Bot, wait_while_running
from tests.lab import apt
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until
from tests.lab.wire import Wire

TASK = "security_patches"
LOGS = "old_logs"
NAMES = ("bookworm-1", "bookworm-2", "bullseye-1", "trixie-1", "trixie-2", "trixie-3")
CANARIES = ("bookworm-1", "bullseye-1", "trixie-1")
REST = ("bookworm-2", "trixie-2", "trixie-3")
OLD_LOG = "/var/log/app/old.1.log"
UPGRADES = "/var/lib/maintenancebot/upgrades"
BEGAN = "/var/tmp/began"
GOOD = "/bin/sleep infinity"
DIES = """\
[Unit]
Description=dies
[Service]
ExecStart=/bin/sh -c 'sleep 1; exit 1'
[Install]
WantedBy=multi-user.target
"""
STAMP = f"date +%s.%N >>{BEGAN}"
WAITS = "touch /run/begun; while test -e /run/wait; do sleep 0.1; done"
ONE_BY_ONE = {"canaries": False, "growth": 1, "cap": 1}
LONG = pytest.mark.skipif(not os.environ.get("LAB_LONG"), reason="takes minutes; LAB_LONG=1 runs it")

packages = itertools.count(1)


def prepare(host: LabHost) -> None:
    host.write(OLD_LOG, "old\n" * 5000)
    host.age({OLD_LOG: 90.0})


class Ward:
    """Six hosts with a repository of security updates, and a command that looks after them."""

    def __init__(self, fleet: Fleet, repository: apt.Repository, bot: Bot, directory: Path) -> None:
        self.fleet, self.repository, self.bot, self.directory = fleet, repository, bot, directory
        self.name = f"demo{next(packages)}"
        self.inventory: dict[str, dict[str, Any]] = yaml.safe_load(fleet.inventory.read_text())["hosts"]
        self.settle()

    def settle(self, *tasks: dict[str, Any], window: dict[str, Any] | None = None, **more: Any) -> None:
        """The task with a short watch, and more tasks."""
        first = {"name": TASK, "type": "package_update", "scope": "security_only", "rollback_on_failure": True}
        health = {"settle_seconds": 3, **more.pop("health", {})}
        ssh = {"keys": [str(self.fleet.key)], "known_hosts": str(self.directory / "known_hosts"), "agent": False}
        ssh |= {"connect_timeout": 4, "login_timeout": 4}
        (self.directory / "known_hosts").write_text(self.fleet.known_hosts.read_text())
        settings = {"window": window} if window else {}
        settings["guards"] = {"breaker_hosts": 100}  # waves alone are to hold the others back
        self.bot.configure(tasks=[{**first, "health": health, **more}, *tasks], ssh=ssh, **settings)

    def place(self, names: Iterable[str] = NAMES, **entries: dict[str, Any]) -> None:
        """Write the inventory of these hosts, with more keys for some of them (`bookworm_1={"quorum": "a"}`)."""
        more = {name.replace("_", "-"): entry for name, entry in entries.items()}
        hosts = {name: {**self.inventory[name], "groups": ["web"], **more.get(name, {})} for name in names}
        path = self.directory / "hosts.yaml"
        path.write_text(yaml.safe_dump({"groups": {"web": {}}, "hosts": hosts}, sort_keys=False))
        self.bot.inventory = path

    def package(self, version: str, postinst: str = "", **more: Any) -> apt.Package:
        """A version of the ward's package, that notes when it is installed."""
        return apt.Package(self.name, version, scripts={"postinst": f"{STAMP}\n{postinst}"}, **more)

    def service(self, version: str, unit: str = GOOD) -> apt.Package:
        """A version of it that is a service."""
        return apt.Package(self.name, version, services={f"{self.name}.service": unit})

    def offer(self, old: apt.Package, new: apt.Package, names: Iterable[str] = NAMES) -> None:
        """Have the old version on the hosts and the new one in the repository."""

        def give(name: str) -> None:
            apt.install(self.fleet[name], old)
            self.repository.attach(self.fleet[name], over_http=True)
            self.fleet[name].run(["rm", "-f", BEGAN])

        self.repository.publish(old, new)
        self.repository.serve()
        every(give, names)

    def run(self, *words: str) -> Answer:
        return self.bot("run", *words, "--json")

    def versions(self) -> dict[str, str]:
        return {name: apt.installed(self.fleet[name], self.name) for name in NAMES}

    def began(self, name: str) -> float:
        """When the new version was installed on a host, by the host's clock."""
        return float(self.fleet[name].read(BEGAN).split()[-1])


def every(work: Callable[[str], object], names: Iterable[str]) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, names))


def told(answer: Answer, task: str = TASK) -> dict[str, tuple[str, str]]:
    """Host -> state and reason of its task, or of the host where it has none."""
    found = {}
    for host in answer.document["hosts"]:
        mine = next((one for one in host["tasks"] if one["task"] == task), host)
        found[host["host"]] = (mine["state"], mine["reason"])
    return found


def the(state: str, reason: str, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    return dict.fromkeys(names, (state, reason))


def untouched(host: LabHost) -> bool:
    """Whether no upgrade has left anything."""
    folder = host.live_path(UPGRADES)
    units = host.sh("systemctl list-units --all --plain --no-legend 'maintenancebot-*'")
    return not (folder.exists() and list(folder.iterdir())) and not units.strip()


@pytest.fixture(scope="module")
def six(make_fleet: Callable[..., Fleet]) -> Fleet:
    """Two hosts of bookworm, one of bullseye, three of trixie."""
    return make_fleet(
        *(HostSpec(name, name.partition("-")[0], disk_mib=700, prepare=prepare) for name in NAMES),
    )


@pytest.fixture
def ward(six: Fleet, make_repository: Callable[..., apt.Repository], tmp_path: Path) -> Iterator[Ward]:
    """The hosts as they were, without packages and traces of other tests."""
    made = Ward(six, make_repository(apt.security("bookworm")), Bot(tmp_path, six), tmp_path)
    made.place()
    every(lambda name: apt.remove_sources(six[name]), NAMES)
    yield made
    purge = f"dpkg --purge --force-all {made.name} || true; rm -rf /var/lib/maintenancebot"
    traces = f"{BEGAN} /run/begun /run/wait /run/reboot-required /etc/fragile"
    every(lambda name: six[name].sh(f"{purge} {traces}; systemctl reset-failed"), NAMES)


def test_a_broken_service_stops_at_the_canaries_and_a_fixed_one_goes_on(ward: Ward) -> None:
    pattern = {"path": "/var/log/app/*.1.log", "retention_days": 30, "compress": True}
    ward.settle({"name": LOGS, "type": "cleanup", "patterns": [pattern]})
    ward.offer(ward.service("1.0"), ward.service("1.1", DIES))

    first = ward.bot("dry-run", "--json").document["notes"]
    assert first == ["upgrades begin with bookworm-1, bullseye-1, trixie-1; 3 more follow in waves"]

    broken = ward.run()
    assert broken.code == 1
    assert told(broken) == {
        **the("failed", "rolled_back", CANARIES),
        **the("skipped", "wave_stopped", REST),
    }
    assert set(ward.versions().values()) == {"1.0"}
    assert all(untouched(ward.fleet[name]) for name in REST)
    assert set(told(broken, LOGS).values()) == {("done", "verified")}, "what need not wait is done all the same"
    assert all(ward.fleet[name].path(OLD_LOG + ".gz").exists() for name in NAMES)

    again = ward.run("--task", TASK)
    assert set(told(again).values()) == {("skipped", "known_bad")}
    assert all(untouched(ward.fleet[name]) for name in REST)

    ward.repository.publish(ward.service("1.2"))
    fixed = ward.run("--task", TASK)
    assert fixed.code == 0
    assert told(fixed) == the("done", "verified", NAMES)
    assert set(ward.versions().values()) == {"1.2"}


def test_waves_grow_and_a_quorum_group_has_one_host_down(ward: Ward) -> None:
    ward.place(
        bookworm_1={"quorum": "b"},
        bookworm_2={"quorum": "b"},
        trixie_1={"quorum": "t"},
        trixie_2={"quorum": "t"},
    )
    ward.settle(waves={"growth": 10})
    ward.offer(ward.package("1.0"), ward.package("1.1"))

    ward.fleet["bookworm-1"].freeze()
    answer = ward.run()
    ward.fleet["bookworm-1"].thaw()

    assert answer.code == 1, "a host was not reached"
    assert told(answer) == {
        "bookworm-1": ("unknown", "connect_timeout"),
        "bookworm-2": ("skipped", "quorum"),
        **the("done", "verified", ["bullseye-1", "trixie-1", "trixie-2", "trixie-3"]),
    }
    assert untouched(ward.fleet["bookworm-2"])
    began = {name: ward.began(name) for name in ("bullseye-1", "trixie-1", "trixie-2", "trixie-3")}
    assert abs(began["bullseye-1"] - began["trixie-1"]) < 3, "two canaries side by side"
    assert began["trixie-2"] - began["trixie-1"] > 3, "the second of the group waits until the first is well"


def test_a_canary_that_is_switched_off_is_replaced_and_taken_up_later(ward: Ward) -> None:
    ward.settle(health={"settle_seconds": 1}, waves={"growth": 10})
    ward.offer(ward.package("1.0"), ward.package("1.1"))
    plan = str(ward.directory / "plan.json")
    assert ward.bot("dry-run", "--out", plan, "--json").code == 0
    ward.fleet["trixie-1"].run(["systemctl", "stop", "ssh.service"])

    answer = ward.run("--plan", plan)

    others = [name for name in NAMES if name != "trixie-1"]
    assert answer.code == 1
    assert told(answer) == {"trixie-1": ("failed", "unreachable"), **the("done", "verified", others)}
    assert ward.began("trixie-3") - ward.began("trixie-2") > 1, "trixie-2 stands in as the canary"

    ward.fleet["trixie-1"].run(["systemctl", "start", "ssh.service"])
    again = ward.run()
    assert (again.code, set(ward.versions().values())) == (0, {"1.1"})
    assert told(again)["trixie-1"] == ("done", "verified")


def test_one_failure_may_happen_and_the_second_stops_the_rest(ward: Ward) -> None:
    ward.settle(health={"settle_seconds": 1}, waves={**ONE_BY_ONE, "cap": 2, "growth": 1, "max_failures": 1})
    ward.offer(ward.package("1.0"), ward.package("1.1", "! test -e /etc/fragile"))
    for name in ("bookworm-2", "trixie-1"):
        ward.fleet[name].write("/etc/fragile", "")

    answer = ward.run()

    assert answer.code == 1
    assert told(answer) == {
        **the("done", "verified", ["bookworm-1", "bullseye-1"]),
        **the("failed", "rolled_back", ["bookworm-2", "trixie-1"]),
        **the("skipped", "wave_stopped", ["trixie-2", "trixie-3"]),
    }
    (left,) = answer.task("trixie-3", TASK)["changes"]
    assert left["detail"] == "failed: bookworm-2, trixie-1; 1 may fail"
    times = [ward.began(name) for name in ("bookworm-1", "bullseye-1")]
    assert times == sorted(times)


def test_stop_and_interrupt_are_heard_between_waves(ward: Ward) -> None:
    ward.settle(health={"settle_seconds": 1}, waves=ONE_BY_ONE)
    ward.offer(ward.package("1.0"), ward.package("1.1", WAITS))

    process = at_work(ward, "bookworm-2")
    assert ward.bot("stop", "--reason", "test").code == 0
    ward.fleet["bookworm-2"].live_path("/run/wait").unlink()
    answer = ended(process)
    assert answer.code == 3
    assert told(answer) == {
        **the("done", "verified", NAMES[:2]),
        **the("skipped", "stopped", NAMES[2:]),
    }
    assert ward.bot("resume").code == 0

    process = at_work(ward, "bullseye-1")
    process.send_signal(signal.SIGINT)
    ward.fleet["bullseye-1"].live_path("/run/wait").unlink()
    answer = ended(process)
    assert answer.code == 3
    assert told(answer) == {
        **the("nothing", "up_to_date", NAMES[:2]),
        "bullseye-1": ("done", "verified"),
        **the("skipped", "interrupted", NAMES[3:]),
    }
    assert all(untouched(ward.fleet[name]) for name in NAMES[3:])


def test_a_cut_line_in_the_middle_of_dpkg_is_one_run_in_the_end(
    ward: Ward, make_wire: Callable[[LabHost], Wire]
) -> None:
    host = ward.fleet["bookworm-1"]
    wire = make_wire(host)
    ward.place(NAMES[:3], bookworm_1={"address": wire.address, "port": wire.port})
    ward.settle(health={"settle_seconds": 1}, waves=ONE_BY_ONE)
    (ward.directory / "known_hosts").write_text(ward.fleet.known_hosts.read_text() + wire.known_hosts_line())
    ward.offer(ward.package("1.0"), ward.package("1.1", WAITS), NAMES[:3])

    process = at_work(ward, "bookworm-1")
    wire.refusing = True
    wire.cut()
    lost = ended(process)
    assert lost.code == 1
    assert told(lost) == {
        "bookworm-1": ("unknown", "link_lost"),
        **the("skipped", "wave_stopped", ["bookworm-2", "bullseye-1"]),
    }
    host.live_path("/run/wait").unlink()
    wire.refusing = False
    wait_until(lambda: "result" in host.sh(f"ls {UPGRADES}/*"), "dpkg ends without a controller", 20)

    again = ward.run()

    assert again.code == 0
    (note,) = again.document["notes"]
    assert f"upgrade_package {ward.name}=1.1 of run {lost.document['run_id']} was unfinished; found: done" in note
    assert told(again) == {
        "bookworm-1": ("nothing", "up_to_date"),
        **the("done", "verified", ["bookworm-2", "bullseye-1"]),
    }
    assert len(host.read(BEGAN).split()) == 1
    assert len(host.sh(f"ls -d {UPGRADES}/maintenancebot-*").split()) == 1


def test_a_killed_controller_leaves_a_wave_that_ends_by_itself(ward: Ward) -> None:
    ward.settle(health={"settle_seconds": 1}, waves={"canaries": False, "growth": 1, "cap": 2})
    ward.offer(ward.package("1.0"), ward.package("1.1", WAITS), NAMES[:2])
    ward.place(NAMES[:2])

    process = at_work(ward, "bookworm-1")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ward.fleet["bookworm-1"].live_path("/run/wait").unlink()
    again = ward.run()

    assert told(again)["bookworm-2"] == ("done", "verified")
    wait_until(lambda: apt.installed(ward.fleet["bookworm-1"], ward.name) == "1.1", "dpkg ends", 20)
    assert len(ward.fleet["bookworm-1"].read(BEGAN).split()) == 1


def test_why_updates_stay_is_told_for_each_host(ward: Ward, make_repository: Callable[..., apt.Repository]) -> None:
    ward.settle(health={"settle_seconds": 1})
    ward.offer(ward.package("1.0"), ward.package("1.1"))
    ward.fleet["bookworm-1"].run(["apt-mark", "hold", ward.name])
    down = make_repository(apt.security("bookworm"))
    down.publish(ward.package("1.1"))
    down.attach(ward.fleet["bookworm-2"], over_http=True)
    down.go_down()
    foreign = make_repository(apt.FOREIGN)
    foreign.publish(ward.package("1.2"))
    foreign.attach(ward.fleet["trixie-1"], over_http=True, alone=False)
    blocked = make_repository(apt.security("bookworm"))
    blocked.publish(ward.package("1.1", depends="absent"))
    blocked.attach(ward.fleet["trixie-2"], over_http=True)

    answer = ward.run()

    assert answer.code == 1
    assert told(answer) == {
        "bookworm-1": ("skipped", "held"),
        "bookworm-2": ("unknown", "lists_failed"),
        "bullseye-1": ("done", "verified"),
        "trixie-1": ("skipped", "foreign_origin"),
        "trixie-2": ("skipped", "blocked"),
        "trixie-3": ("done", "verified"),
    }
    assert set(ward.versions().values()) == {"1.0", "1.1"}


def test_reboots_of_a_quorum_group_come_one_after_the_other(ward: Ward) -> None:
    names = ["bookworm-1", "trixie-1", "trixie-2"]
    ward.place(names, trixie_1={"quorum": "t"}, trixie_2={"quorum": "t"})
    pattern = {"path": "/var/log/app/*.later.log", "retention_days": 30}
    clean = {"name": LOGS, "type": "cleanup", "patterns": [pattern], "journal": {"keep_bytes": 1}}
    ward.settle(clean, reboot="when_required", waves={"canaries": False, "growth": 10})
    ward.repository.publish(ward.package("1.0"))
    boots = {}
    for name in names:
        ward.repository.attach(ward.fleet[name], over_http=True)
        ward.fleet[name].sh("touch /run/reboot-required; journalctl --rotate")
        boots[name] = ward.fleet[name].boot_id()

    answer = ward.run()

    assert told(answer) == the("done", "verified", names)
    assert {state for state, _ in told(answer, LOGS).values()} == {"done"}
    assert all(ward.fleet[name].boot_id() != boots[name] for name in names)
    up = {name: float(ward.fleet[name].sh("stat -c %Y /proc/1").strip()) for name in names}
    assert up["trixie-2"] - up["trixie-1"] > 3, "the second one goes when the first is back and well"
    measured = answer.task("trixie-1", TASK)["changes"][0]["measured"]
    assert (measured["boot_id"], measured["bad"]) == (ward.fleet["trixie-1"].boot_id(), [])


SHORT = """
import sys
from maintenancebot.engine import reboots
reboots.LIMIT_SECONDS = 12
from maintenancebot.cli.main import main
main()
"""


def test_a_host_that_does_not_come_back_is_told_and_its_partner_stays_up(ward: Ward) -> None:
    names = ["bookworm-1", "trixie-1", "trixie-2"]
    ward.place(names, trixie_1={"quorum": "t"}, trixie_2={"quorum": "t"})
    waves = {"canaries": False, "growth": 10, "max_failures": 5}
    ward.settle(reboot="when_required", health={"settle_seconds": 1}, waves=waves)
    ward.repository.publish(ward.package("1.0"))
    for name in names:
        ward.repository.attach(ward.fleet[name], over_http=True)
        ward.fleet[name].run(["touch", "/run/reboot-required"])
    ward.fleet["trixie-1"].run(["systemctl", "disable", "--quiet", "ssh.service"])
    ward.fleet["bookworm-1"].run(["systemctl", "mask", "--quiet", "reboot.target"])
    boot = ward.fleet["trixie-2"].boot_id()

    done = subprocess.run(
        [sys.executable, "-c", SHORT, *ward.bot.argv("run", "--json")[1:]], capture_output=True, text=True, timeout=200
    )
    answer = Answer(done.returncode, done.stdout, done.stderr)
    ward.fleet["trixie-1"].run(["systemctl", "enable", "--quiet", "--now", "ssh.service"])
    ward.fleet["bookworm-1"].run(["systemctl", "unmask", "--quiet", "reboot.target"])

    assert told(answer) == {
        **the("failed", "not_back", ["bookworm-1", "trixie-1"]),
        "trixie-2": ("skipped", "quorum"),
    }
    details = [answer.task(name, TASK)["changes"][0]["detail"] for name in ("bookworm-1", "trixie-1")]
    assert details[0] == "after 12 s: it answers, and has not rebooted"
    assert "unreachable" in details[1]
    assert ward.fleet["trixie-2"].boot_id() == boot


def at_work(ward: Ward, name: str) -> subprocess.Popen[str]:
    """Start a run that waits in the middle of dpkg on one host."""
    host = ward.fleet[name]
    host.live_path("/run/begun").unlink(missing_ok=True)
    host.live_path("/run/wait").touch()
    process = ward.bot.start("run", "--json")
    wait_while_running(process, lambda: host.live_path("/run/begun").exists(), f"dpkg is at work on {name}")
    return process


def ended(process: subprocess.Popen[str]) -> Answer:
    out, err = process.communicate(timeout=60)
    return Answer(process.returncode, out, err)


@LONG
def test_the_windows_end_is_kept_between_waves(ward: Ward) -> None:
    now = datetime.now(UTC)
    wait_until(lambda: datetime.now(UTC).second in range(20), "the beginning of a minute", 60)
    now = datetime.now(UTC)
    end = now + timedelta(minutes=1)
    window = {"start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{end:%H:%M}"}
    ward.settle(window=window, health={"settle_seconds": 1}, waves=ONE_BY_ONE)
    ward.offer(ward.package("1.0"), ward.package("1.1", WAITS))

    process = at_work(ward, "bookworm-2")
    wait_until(lambda: datetime.now(UTC).strftime("%H:%M") >= f"{end:%H:%M}", "the window closes", 70)
    ward.fleet["bookworm-2"].live_path("/run/wait").unlink()
    answer = ended(process)

    assert answer.code == 3
    assert told(answer) == {
        **the("done", "verified", NAMES[:2]),
        **the("skipped", "outside_window", NAMES[2:]),
    }


@LONG
def test_a_real_security_update_goes_in_waves(make_fleet: Callable[..., Fleet], tmp_path: Path) -> None:
    fleet = make_fleet(*(HostSpec(f"real-{number}", "bookworm", variant="unpatched") for number in (1, 2, 3)))
    bot = Bot(tmp_path, fleet)
    task = {"name": TASK, "type": "package_update", "scope": "security_only", "rollback_on_failure": True}
    ssh = {"keys": [str(fleet.key)], "known_hosts": str(fleet.known_hosts), "agent": False}
    bot.configure(tasks=[{**task, "max_new_packages": 10}], ssh=ssh)

    answer = bot("run", "--json", limit=1500)

    assert answer.code == 0
    assert set(told(answer).values()) == {("done", "verified")}
    assert bot("run", "--json").document["state"] == "nothing"
