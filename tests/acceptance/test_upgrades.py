"""Upgrades on real hosts: what was well before is watched, taken back when it is not, and told as it was."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Answer, Bot, wait_while_running
from tests.lab import apt
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.tools import wait_until

TASK = "security_patches"
RELEASES = ("bullseye", "bookworm", "trixie")
DIES = """\
[Unit]
Description=dies
[Service]
ExecStart=/bin/sh -c 'sleep 5; exit 1'
{more}
[Install]
WantedBy=multi-user.target
"""
HIDDEN = DIES.format(more="Restart=always\nRestartSec=100ms")
GOOD = "/bin/sleep infinity"


class Scene:
    """One host with a repository of security updates, and a command that looks after it."""

    def __init__(self, host: LabHost, repository: apt.Repository, bot: Bot) -> None:
        self.host, self.repository, self.bot = host, repository, bot

    def settle(self, **more: Any) -> None:
        """The task, with a short watch."""
        task = {"name": TASK, "type": "package_update", "scope": "security_only", "approval": "auto"}
        health = {"settle_seconds": 12, **more.pop("health", {})}
        ssh = {"keys": [str(self.bot.fleet.key)], "known_hosts": str(self.bot.fleet.known_hosts), "agent": False}
        self.bot.configure(tasks=[{**task, "rollback_on_failure": True, "health": health, **more}], ssh=ssh)

    def old(self, *packages: apt.Package, kept: bool = True) -> None:
        """Have packages installed, and in the repository as well, or not."""
        apt.install(self.host, *packages)
        if kept:
            self.repository.publish(*packages)

    def offer(self, *packages: apt.Package) -> None:
        """Publish new versions."""
        self.repository.publish(*packages)
        self.repository.attach(self.host)

    def run(self) -> Answer:
        return self.bot("run", "--task", TASK, "--json")

    def outcomes(self, answer: Answer) -> dict[str, dict[str, Any]]:
        """Name of a change -> what became of it."""
        return {one["object"]: one for one in answer.task(self.host.name, TASK)["changes"]}

    def measured(self, answer: Answer) -> dict[str, Any]:
        """What the first outcome carries for the whole host."""
        return dict(next(one["measured"] for one in self.outcomes(answer).values() if "unit" in one["measured"]))


Stage = Callable[..., Scene]


@pytest.fixture
def stage(
    make_host: Callable[..., LabHost],
    own_fleet: Fleet,
    make_repository: Callable[..., apt.Repository],
    tmp_path: Path,
) -> Stage:
    """Make the scene: `stage("trixie", disk_mib=600)`."""

    def make(release: str = "bookworm", *, settings: dict[str, Any] | None = None, **options: Any) -> Scene:
        host = make_host("web-1", release=release, **options)
        apt.remove_sources(host)
        scene = Scene(host, make_repository(apt.security(release)), Bot(tmp_path, own_fleet))
        scene.settle(**(settings or {}))
        return scene

    return make


def service(version: str, unit: str = GOOD, **more: Any) -> apt.Package:
    return apt.Package("demo", version, services={"demo.service": unit}, **more)


def state_of(one: dict[str, Any]) -> tuple[str, str]:
    return one["state"], one["reason"]


@pytest.mark.parametrize("release", RELEASES)
def test_a_good_update_is_watched_and_done(stage: Stage, release: str) -> None:
    scene = stage(release)
    scene.old(service("1.0"))
    scene.offer(service("1.1"))
    scene.host.run(["apt-mark", "auto", "demo"])

    answer = scene.run()

    told = scene.outcomes(answer)
    assert state_of(told["demo=1.1"]) == ("done", "verified"), answer.out
    assert scene.host.sh("apt-mark showauto demo").strip() == "demo"
    measured = scene.measured(answer)
    assert measured["health"]["bad"] == []
    assert measured["health"]["watched_seconds"] == 12
    assert measured["health"]["before"]["units"] == measured["health"]["after"]["units"] > 5
    assert apt.installed(scene.host, "demo") == "1.1"


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("unit", [DIES.format(more=""), HIDDEN], ids=["dies", "hidden"])
def test_a_service_that_dies_after_its_restart_is_found_and_rolled_back(stage: Stage, release: str, unit: str) -> None:
    scene = stage(release)
    scene.old(service("1.0"), apt.Package("plain", "1.0"))
    scene.offer(service("1.1", unit), apt.Package("plain", "1.1"))
    scene.host.run(["apt-mark", "auto", "plain"])

    answer = scene.run()

    told = scene.outcomes(answer)
    assert answer.code == 1
    assert {name: state_of(one) for name, one in told.items()} == {
        "demo=1.1": ("failed", "rolled_back"),
        "plain=1.1": ("failed", "rolled_back"),
    }, answer.out
    assert "demo.service" in told["demo=1.1"]["detail"]
    assert apt.installed(scene.host, "demo") == apt.installed(scene.host, "plain") == "1.0"
    assert scene.host.sh("systemctl is-active demo").strip() == "active"
    assert scene.host.sh("apt-mark showauto demo plain").split() == ["plain"]
    rollback = scene.measured(answer)["rollback"]
    assert (rollback["packages"], rollback["not_undone"]) == (["demo", "plain"], {})
    bad = json.loads(scene.host.sh("cat /var/lib/maintenancebot/upgrades/bad.json"))
    assert [(row["package"], row["version"]) for row in bad] == [("demo", "1.1")]

    again = scene.run()
    assert scene.outcomes(again).keys() == {"plain=1.1"}, "the failed version is left, the other is tried again"


def test_a_postinst_that_fails_is_rolled_back(stage: Stage) -> None:
    scene = stage()
    scene.old(apt.Package("demo", "1.0"))
    scene.offer(apt.Package("demo", "1.1", scripts={"postinst": "exit 7"}))

    answer = scene.run()

    told = scene.outcomes(answer)["demo=1.1"]
    assert state_of(told) == ("failed", "rolled_back"), answer.out
    assert "half-configured" in told["detail"]
    assert apt.installed(scene.host, "demo") == "1.0"
    assert scene.host.sh("dpkg --audit") == ""


def test_without_rollback_the_failure_stays_and_is_told(stage: Stage) -> None:
    scene = stage(settings={"rollback_on_failure": False})
    scene.old(service("1.0"))
    scene.offer(service("1.1", HIDDEN))

    answer = scene.run()

    told = scene.outcomes(answer)["demo=1.1"]
    assert state_of(told) == ("failed", "unhealthy"), answer.out
    assert "restarted" in told["detail"]
    assert apt.installed(scene.host, "demo") == "1.1"


def test_what_is_never_rolled_back_stays_and_is_named(stage: Stage) -> None:
    scene = stage(settings={"never_roll_back": ["pla*"]})
    scene.old(service("1.0"), apt.Package("plain", "1.0"))
    scene.offer(service("1.1", HIDDEN), apt.Package("plain", "1.1"))

    told = scene.outcomes(scene.run())

    assert state_of(told["demo=1.1"]) == ("failed", "rolled_back")
    assert state_of(told["plain=1.1"]) == ("failed", "unhealthy")
    assert "never" in told["plain=1.1"]["detail"]
    assert (apt.installed(scene.host, "demo"), apt.installed(scene.host, "plain")) == ("1.0", "1.1")


def test_a_newer_partner_that_needs_the_new_version_forbids_the_rollback(stage: Stage) -> None:
    scene = stage(settings={"never_roll_back": ["plain"]})
    scene.old(service("1.0"), apt.Package("plain", "1.0"))
    scene.offer(service("1.1", HIDDEN), apt.Package("plain", "1.1", depends="demo (>= 1.1)"))

    told = scene.outcomes(scene.run())

    assert state_of(told["demo=1.1"]) == ("failed", "unhealthy")
    assert "not rolled back" in told["demo=1.1"]["detail"]
    assert apt.installed(scene.host, "demo") == "1.1"


@pytest.mark.parametrize("release", RELEASES)
def test_an_old_version_in_apts_cache_alone_comes_back(stage: Stage, release: str) -> None:
    scene = stage(release)
    scene.old(service("1.0"), kept=False)
    (deb,) = [apt.build(service("1.0"), scene.host.path("/var/cache/apt/archives"))]
    assert deb.name == "demo_1.0_all.deb"
    scene.offer(service("1.1", HIDDEN))

    assert state_of(scene.outcomes(scene.run())["demo=1.1"]) == ("failed", "rolled_back")
    assert apt.installed(scene.host, "demo") == "1.0"


@pytest.mark.parametrize("release", RELEASES)
def test_an_old_version_that_is_nowhere_is_said_and_stays_undone(stage: Stage, release: str) -> None:
    scene = stage(release)
    scene.old(service("1.0"), kept=False)
    scene.offer(service("1.1", HIDDEN))

    answer = scene.run()

    told = scene.outcomes(answer)["demo=1.1"]
    assert state_of(told) == ("failed", "unhealthy"), answer.out
    assert "dpkg-repack" in told["detail"]
    assert "no way back" in told["note"]
    assert apt.installed(scene.host, "demo") == "1.1"


def test_local_configuration_stays_and_the_new_one_is_named(stage: Stage) -> None:
    scene = stage()
    scene.old(apt.Package("demo", "1.0", conffiles={"/etc/demo.conf": "first\n"}))
    scene.host.live_path("/etc/demo.conf").write_text("mine\n")
    scene.offer(apt.Package("demo", "1.1", conffiles={"/etc/demo.conf": "second\n"}))

    answer = scene.run()

    assert state_of(scene.outcomes(answer)["demo=1.1"]) == ("done", "verified"), answer.out
    assert scene.host.read("/etc/demo.conf") == b"mine\n"
    assert scene.measured(answer)["kept_configuration"] == ["/etc/demo.conf.dpkg-dist"]


def test_a_page_that_stops_answering_fails_the_gate(stage: Stage) -> None:
    scene = stage()
    serve = f"/usr/bin/python3 -m http.server 8099 --bind {scene.host.address} --directory /usr/share/doc/demo"
    url = f"http://{scene.host.address}:8099/VERSION"
    scene.settle(health={"http": [{"url": url}], "tcp": [f"{scene.host.address}:8099"]})
    scene.old(service("1.0", serve))
    scene.offer(service("1.1"))

    answer = scene.run()

    assert state_of(scene.outcomes(answer)["demo=1.1"]) == ("failed", "rolled_back"), answer.out
    bad = scene.measured(answer)["health"]["bad"]
    assert sorted(fault["kind"] for fault in bad) == ["http", "tcp"]


LOCK = "import fcntl,time;f=open('/var/lib/dpkg/lock-frontend','w');fcntl.lockf(f,fcntl.LOCK_EX);time.sleep({})"


def hold_lock(host: LabHost, seconds: int) -> None:
    host.run(["systemd-run", "--quiet", "--unit=holds", "python3", "-c", LOCK.format(seconds)])
    wait_until(lambda: "active" in host.sh("systemctl is-active holds"), "the lock is held", 10)


def test_a_lock_is_waited_for(stage: Stage) -> None:
    scene = stage(settings={"health": {"settle_seconds": 1}})
    scene.old(apt.Package("demo", "1.0"))
    scene.offer(apt.Package("demo", "1.1"))
    hold_lock(scene.host, 20)

    answer = scene.run()

    assert state_of(scene.outcomes(answer)["demo=1.1"]) == ("done", "verified"), answer.out + answer.err


def test_a_lock_held_for_ever_is_busy(stage: Stage) -> None:
    scene = stage(settings={"lock_timeout_seconds": 5})
    scene.old(apt.Package("demo", "1.0"))
    scene.offer(apt.Package("demo", "1.1"))
    hold_lock(scene.host, 10000)

    answer = scene.run()

    task = answer.task(scene.host.name, TASK)
    told = scene.outcomes(answer).get("demo=1.1", task)
    assert told["reason"] == "busy", answer.out
    assert "python3" in told["detail"]
    assert apt.installed(scene.host, "demo") == "1.0"


def test_a_controller_killed_in_the_middle_of_dpkg_finds_one_run_again(stage: Stage) -> None:
    scene = stage(settings={"health": {"settle_seconds": 1}})
    scene.old(apt.Package("demo", "1.0"))
    slow = "touch /run/begun; while ! test -e /run/go-on; do sleep 0.1; done"
    scene.offer(apt.Package("demo", "1.1", scripts={"postinst": slow}))
    process = scene.bot.start("run", "--task", TASK, "--json")
    wait_while_running(process, lambda: scene.host.live_path("/run/begun").exists(), "dpkg is at work")
    process.send_signal(signal.SIGKILL)
    process.communicate()
    scene.host.live_path("/run/go-on").touch()
    wait_until(lambda: apt.installed(scene.host, "demo") == "1.1", "dpkg ended", 30)
    wait_until(lambda: "result" in scene.host.sh("ls /var/lib/maintenancebot/upgrades/*"), "apt ended", 30)

    again = scene.run()

    assert again.code == 0, again.out + again.err
    assert len(scene.host.sh("ls -d /var/lib/maintenancebot/upgrades/maintenancebot-*").split()) == 1
    history = scene.bot("history", "--json").out + scene.bot("history").out
    assert "demo" in again.out + again.err + history


def test_a_full_var_is_refused_before_anything_is_touched(stage: Stage) -> None:
    scene = stage(disk_mib=600)
    scene.old(apt.Package("demo", "1.0"))
    scene.offer(apt.Package("demo", "1.1", size_bytes=1_000_000))
    scene.host.sh("fallocate -l 10G /var/full 2>/dev/null || dd if=/dev/zero of=/var/full bs=1M 2>/dev/null || true")

    answer = scene.run()

    assert answer.task(scene.host.name, TASK)["reason"] == "no_space", answer.out + answer.err
    assert apt.installed(scene.host, "demo") == "1.0"


HOOK = "/usr/local/sbin/snapshot"


def test_a_snapshot_is_made_first_and_without_it_nothing_is_upgraded(stage: Stage) -> None:
    scene = stage(settings={"snapshot_hook": HOOK})
    scene.old(service("1.0"))
    scene.offer(service("1.1"))
    assert state_of_task(scene.run(), scene) == ("skipped", "lacks")

    scene.host.write(HOOK, "#!/bin/sh\necho no room >&2\nexit 3\n", mode=0o755)
    refused = scene.outcomes(scene.run())["demo=1.1"]
    assert state_of(refused) == ("failed", "tool_failed")
    assert "no snapshot, so no upgrade" in refused["detail"]
    assert "exit code 3: no room" in refused["detail"]

    scene.host.write(HOOK, '#!/bin/sh\ndpkg-query -W demo >"/root/$MAINTENANCEBOT_UPGRADE"\n', mode=0o755)
    done = scene.run()
    assert state_of(scene.outcomes(done)["demo=1.1"]) == ("done", "verified"), done.out
    run = scene.measured(done)["unit"]
    assert scene.host.read(f"/root/{run}").split() == [b"demo", b"1.0"]


def state_of_task(answer: Answer, scene: Scene) -> tuple[str, str]:
    return state_of(answer.task(scene.host.name, TASK))


def test_an_interrupted_dpkg_is_repaired_where_that_is_wanted(stage: Stage) -> None:
    scene = stage(settings={"repair": True})
    scene.old(apt.Package("demo", "1.0"))
    broken = apt.build(apt.Package("late", scripts={"postinst": "true"}), scene.host.path("/var/cache"))
    scene.host.run(["dpkg", "--unpack", f"/var/cache/{broken.name}"])
    scene.offer(apt.Package("demo", "1.1"))

    answer = scene.run()

    (one,) = scene.outcomes(answer).values()
    assert (one["action"], *state_of(one)) == ("repair_packages", "done", "verified"), answer.out
    assert scene.host.sh("dpkg --audit") == ""


def test_a_reboot_is_made_and_proven_by_what_is_back(stage: Stage) -> None:
    scene = stage(settings={"reboot": "when_required", "health": {"settle_seconds": 5}})
    scene.old(service("1.0"))
    scene.offer()
    scene.host.live_path("/run/reboot-required").touch()
    before = scene.host.boot_id()

    answer = scene.run()

    (one,) = scene.outcomes(answer).values()
    assert (one["action"], *state_of(one)) == ("reboot_host", "done", "verified"), answer.out + answer.err
    assert scene.host.boot_id() != before
