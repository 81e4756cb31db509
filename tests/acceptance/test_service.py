"""The installed unit on a booted host: it starts, says how it is, reloads, comes back, and stops in time."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance import installed
from tests.acceptance.installed import ETC, PREFIX, STATE, Installed
from tests.lab import apt
from tests.lab.alerting import Program
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import LabError, wait_until

LONG = pytest.mark.skipif(not os.environ.get("LAB_LONG"), reason="takes minutes; LAB_LONG=1 runs it")
FILES = 900
EVERY_MINUTE: dict[str, Any] = {
    "schedule": "* * * * *",
    "schedules": {"certificates": None, "purge": None, "summary": None},
    "deletion": {"caps": {"share": 1.0}},
    "tasks": [
        {
            "name": "log_rotation",
            "type": "cleanup",
            "patterns": [{"path": "/var/log/**/*.*.log", "retention_days": 30, "compress": True}],
        }
    ],
}


def old_logs(host: LabHost) -> None:
    files = {f"/var/log/app/{number:04d}.x.log": 90.0 for number in range(FILES)}
    for path in files:
        host.write(path, b"line\n" * 50)
    host.age(files)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed.build(tmp_path_factory.mktemp("installed"))


@pytest.fixture(scope="module")
def machine(prefix: Path, make_fleet: Callable[..., Fleet]) -> Installed:
    """The daemon's host, on which its state lies on a small file system of its own; shared, as its boot takes time."""
    made = installed.install(make_fleet(), prefix)
    made.host.sh(f"mount -t tmpfs -o size=96m,mode=700,uid=maintenancebot,gid=maintenancebot state {STATE}")
    return made


@pytest.fixture
def bot(machine: Installed) -> Installed:
    """The daemon as installed, running and ready, of whatever a test before did."""
    if not (machine.is_as_installed and machine.not_well() == {}):
        machine.host.sh(f"rm -rf /etc/systemd/system/{installed.UNIT}.d && systemctl daemon-reload")
        machine.configure()
        machine.systemctl("reset-failed", check=False)
        machine.systemctl("restart", installed.UNIT)
        machine.wait_ready()
        machine.is_as_installed = True
    return machine


def docker_health_check() -> list[str]:
    """The argument vector of the image's health check."""
    text = (installed.ROOT / "Dockerfile").read_text("utf-8")
    found = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    assert found
    return list(json.loads(found[1]))


def test_it_starts_and_says_how_it_is(bot: Installed) -> None:
    active, kind, status = bot.show("ActiveState", "Type", "StatusText")
    assert (active, kind) == ("active", "notify")
    assert status
    assert bot.ask("/health/live") == (200, '{\n "live": true\n}\n')
    told = json.loads(bot.ask("/status")[1])
    assert told["hosts"] == len(bot.fleet)
    assert [one["schedule"] for one in told["next_runs"]] == ["certificates", "purge", "summary"]
    code, metrics = bot.ask("/metrics")
    assert code == 200
    assert "maintenancebot_ready 1.0" in metrics
    if promtool := shutil.which("promtool"):
        linted = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, text=True)
        assert (linted.returncode, linted.stderr) == (0, "")


def test_who_asks_through_a_proxy_needs_the_token_for_the_status(bot: Installed) -> None:
    proxied = {"X-Forwarded-For": "192.0.2.7"}
    assert bot.ask("/status", **proxied)[0] == 401
    assert bot.ask("/status", Authorization=f"Bearer {bot.token}", **proxied)[0] == 200
    assert bot.ask("/health/ready", **proxied)[0] == 200


def test_the_token_is_seen_nowhere(bot: Installed) -> None:
    seen = [bot.log(), *(bot.ask(path)[1] for path in ("/health/ready", "/status", "/metrics"))]
    seen += [bot.host.read(f"/proc/{bot.pid()}/{name}").decode() for name in ("cmdline", "environ")]
    assert [text for text in seen if bot.token in text] == []
    lines = [line for line in bot.log().splitlines() if line.startswith("{")]
    assert lines
    assert all({"time", "level", "event"} <= set(json.loads(line)) for line in lines)


def test_the_image_asks_the_same_question_as_everybody(bot: Installed) -> None:
    argv = docker_health_check()
    url = f"READY_URL=http://127.0.0.1:{bot.port}/health/ready"
    ask = ["env", url, f"{PREFIX}/bin/{argv[0]}", *argv[1:]]
    assert bot.host.run(ask, check=False).returncode == 0
    bot.systemctl("stop", installed.UNIT)
    assert bot.host.run(ask, check=False).returncode != 0


def test_a_reload_with_a_fault_keeps_what_was_and_says_so(bot: Installed) -> None:
    before = bot.pid()
    bot.configure(schedul="0 3 * * 0")
    bot.systemctl("reload", installed.UNIT)

    def told() -> str:
        causes = json.loads(bot.ask("/health/ready")[1])["causes"]
        return next(str(one["detail"]) for one in causes if one["name"] == "configuration")

    wait_until(told, "the refused reload to be told", 30)
    assert "maintenancebot.yaml" not in told()  # whoever may look at readiness need not know what is in files
    assert "schedul" in bot.log()
    assert (bot.pid(), bot.not_well(), bot.show("ActiveState")) == (before, {}, ["active"])
    assert "maintenancebot_config_last_reload_successful 0.0" in bot.ask("/metrics")[1]
    bot.configure(schedule="0 3 * * 0")
    bot.systemctl("reload", installed.UNIT)
    wait_until(lambda: not told(), "the reload to be taken", 30)
    assert bot.pid() == before
    names = [one["schedule"] for one in json.loads(bot.ask("/status")[1])["next_runs"]]
    assert names == ["cycle", "certificates", "purge", "summary"]


def test_a_configuration_with_faults_at_the_start_is_said_once_and_not_tried_again(bot: Installed) -> None:
    bot.systemctl("stop", installed.UNIT)
    bot.configure(schedul="0 3 * * 0")
    done = bot.host.run(["systemctl", "start", installed.UNIT], check=False)
    assert done.returncode != 0
    wait_until(lambda: bot.show("ActiveState") == ["failed"], "the unit to have failed", 20)
    assert bot.show("ExecMainStatus", "NRestarts") == ["2", "0"]
    assert "did you mean `schedule`" in bot.log()


def test_a_daemon_that_hangs_is_killed_and_comes_back(bot: Installed) -> None:
    bot.host.write(f"/etc/systemd/system/{installed.UNIT}.d/quick.conf", "[Service]\nWatchdogSec=4s\nRestartSec=1s\n")
    bot.systemctl("daemon-reload")
    bot.systemctl("restart", installed.UNIT)
    bot.wait_ready()
    before = bot.pid()
    bot.host.sh(f"kill -STOP {before}")
    wait_until(lambda: bot.pid() not in (0, before), "the watchdog to bite", 60)
    bot.wait_ready()
    assert "watchdog" in bot.log().lower()


def test_a_full_state_and_a_read_only_one_are_said_and_got_over(bot: Installed) -> None:
    bot.host.sh(f"head -c 80M /dev/zero >{STATE}/filler")
    wait_until(lambda: "disk" in bot.not_well(), "the small room to be told", 30)
    assert "MiB and" in bot.not_well()["disk"]
    bot.host.sh(f"head -c 80M /dev/zero >>{STATE}/filler || true")
    wait_until(lambda: "audit" in bot.not_well(), "the full disk to be told", 30)
    assert "nothing is changed" in bot.not_well()["audit"]
    assert bot.ask("/health/ready")[0] == 503
    assert 'maintenancebot_ready_cause{cause="audit"} 0.0' in bot.ask("/metrics")[1]
    bot.host.sh(f"rm {STATE}/filler")
    bot.wait_ready(30)
    assert bot.show("ActiveState", "NRestarts") == ["active", "0"]


def test_a_state_that_is_full_or_read_only_at_the_start_is_said_and_got_over(bot: Installed) -> None:
    bot.systemctl("stop", installed.UNIT)
    bot.host.sh(f"head -c 200M /dev/zero >{STATE}/filler || true")
    bot.systemctl("start", installed.UNIT)
    wait_until(lambda: set(bot.not_well()) & {"store", "audit"}, "the full state to be told", 30)
    assert bot.ask("/health/live")[0] == 200
    assert bot.ask("/health/ready")[0] == 503
    bot.host.sh(f"rm {STATE}/filler")
    bot.wait_ready(30)
    bot.systemctl("stop", installed.UNIT)
    bot.host.sh(f"mount -o remount,ro {STATE}")
    try:
        bot.systemctl("start", installed.UNIT)
        wait_until(lambda: "store" in bot.not_well(), "the read-only state to be told", 30)
        assert "state.db cannot be" in bot.not_well()["store"]
        assert "state.db cannot be" in bot.show("StatusText")[0]
    finally:
        bot.host.sh(f"mount -o remount,rw {STATE}")
    bot.systemctl("restart", installed.UNIT)  # the unit's view of its file systems is made at its start
    bot.wait_ready(30)


class Watcher(Program):
    """A real Prometheus that scrapes the daemon, by the rules that the project gives."""

    def __init__(self, directory: Path, bot: Installed) -> None:
        super().__init__(directory)
        target = {"job_name": "maintenancebot", "static_configs": [{"targets": [f"127.0.0.1:{bot.port}"]}]}
        document = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(installed.ROOT / "monitoring" / "maintenancebot.rules.yml")],
            "scrape_configs": [target],
        }
        (self.directory / "prometheus.yml").write_text(yaml.safe_dump(document))

    def start(self) -> Watcher:
        """Start it."""
        files = [f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/data"]
        self.run(["prometheus", *files, f"--web.listen-address=127.0.0.1:{self.port}"], "/-/ready")
        return self

    def values(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """What an expression is now."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{query}", timeout=10) as answer:
            found = json.load(answer)["data"]["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def alerts(self) -> set[str]:
        """The names of the alerts that are pending or firing."""
        return {labels["alertname"] for labels, _ in self.values("ALERTS")}


def test_a_real_prometheus_watches_it(bot: Installed, tmp_path: Path) -> None:
    watcher = Watcher(tmp_path / "prometheus", bot).start()
    try:
        up = 'up{job="maintenancebot"}'
        wait_until(lambda: [value for _, value in watcher.values(up)] == [1.0], "a scrape", 30)
        assert [value for _, value in watcher.values("maintenancebot_ready")] == [1.0]
        assert len(watcher.values('{job="maintenancebot"}')) < 300
        quiet = {"MaintenancebotNeverSucceeded"}  # nothing ran yet, which it tells after eight days
        wait_until(lambda: watcher.alerts() == quiet, "the rules to be asked", 30)
        assert bot.command("stop", "--reason", "a test").returncode == 0
        bot.configure(schedul="0 3 * * 0")
        bot.systemctl("reload", installed.UNIT)
        both = {"MaintenancebotStopped", "MaintenancebotReloadRefused"}
        wait_until(lambda: both <= watcher.alerts(), "both to be seen", 30)
        bot.systemctl("stop", installed.UNIT)
        wait_until(lambda: "MaintenancebotDown" in watcher.alerts(), "its end to be seen", 30)
    finally:
        watcher.close()
        bot.configure()
        assert bot.command("resume").returncode == 0


# During a run


@pytest.fixture(scope="module")
def web(machine: Installed, make_fleet: Callable[..., Fleet]) -> LabHost:
    """A host with so many old logs that two runs of it do not end them."""
    fleet = make_fleet(HostSpec("web-1", disk_mib=600, prepare=old_logs))
    look_after(machine, fleet)
    return fleet["web-1"]


def look_after(machine: Installed, fleet: Fleet) -> None:
    """Give the daemon this fleet, from its next start on."""
    machine.host.write(f"{ETC}/id_ed25519", fleet.key.read_bytes(), 0o600)
    machine.host.write(f"{ETC}/known_hosts", fleet.known_hosts.read_bytes())
    machine.host.write(f"{ETC}/hosts.yaml", fleet.inventory.read_bytes(), 0o640, "root:maintenancebot")


def packed(web: LabHost) -> int:
    return len(list(web.live_path("/var/log/app").glob("*.gz")))


def in_the_middle(bot: Installed, web: LabHost) -> None:
    """The run of the next minute is at work on its changes."""
    before = packed(web)
    bot.configure(**EVERY_MINUTE)
    bot.systemctl("restart", installed.UNIT)
    bot.wait_ready()
    try:
        wait_until(lambda: packed(web) > before + 20, "the run of the next minute to be at work", 100)
    except LabError as error:
        raise AssertionError(f"{error}\n{bot.log()[-6000:]}") from error


def latest_run(bot: Installed) -> dict[str, Any]:
    (run,) = json.loads(bot.command("history", "--json", "--limit", "1").stdout)["runs"]
    return dict(run)


def test_a_stop_in_a_run_ends_in_time_after_the_change_in_hand(bot: Installed, web: LabHost) -> None:
    before = packed(web)
    in_the_middle(bot, web)
    began = time.monotonic()
    bot.systemctl("stop", installed.UNIT)
    assert time.monotonic() - began < 60
    count = packed(web)
    assert count < FILES
    assert bot.show("Result", "ExecMainStatus") == ["success", "0"]
    shown = json.loads(bot.command("report", latest_run(bot)["run_id"], "--format", "json").stdout)
    changes = shown["hosts"][0]["tasks"][0]["changes"]
    assert [change["state"] for change in changes].count("done") == count - before
    assert {change["reason"] for change in changes if change["state"] == "skipped"} == {"interrupted"}


def test_after_kill_9_in_a_run_it_comes_back_and_picks_up_what_was_unfinished(bot: Installed, web: LabHost) -> None:
    in_the_middle(bot, web)
    before, broken = bot.pid(), latest_run(bot)
    assert broken["state"] is None
    bot.host.sh(f"kill -9 {before}")
    wait_until(lambda: bot.pid() not in (0, before), "systemd to start it again", 30)
    bot.wait_ready()
    (told,) = wait_until(lambda: bot.lines("slot_unfinished"), "the broken slot to be told", 60)
    assert told["run"] == broken["run_id"]
    assert wait_until(lambda: bot.lines("looked_up"), "the host to be asked what became of it", 90)
    for number in range(FILES):
        path = web.live_path(f"/var/log/app/{number:04d}.x.log")
        assert path.exists() or path.with_name(path.name + ".gz").exists()
    verified = bot.command("audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@LONG
def test_a_stop_in_an_upgrade_ends_in_time_and_the_upgrade_goes_on(
    bot: Installed, make_fleet: Callable[..., Fleet], make_repository: Callable[..., apt.Repository]
) -> None:
    fleet = make_fleet(HostSpec("db-1", release="bookworm"))
    host = fleet["db-1"]
    apt.install(host, apt.Package("demo", "1.0"))
    repository = make_repository(apt.security("bookworm"))
    slow = "touch /run/begun; while ! test -e /run/go-on; do sleep 0.1; done"
    repository.publish(apt.Package("demo", "1.1", scripts={"postinst": slow}))
    repository.attach(host)
    look_after(bot, fleet)
    task = {"name": "patches", "type": "package_update", "scope": "security_only", "approval": "auto"}
    bot.configure(**{**EVERY_MINUTE, "tasks": [task]})
    bot.systemctl("restart", installed.UNIT)
    bot.wait_ready()
    wait_until(host.live_path("/run/begun").exists, "the upgrade to be at work", 120)
    began = time.monotonic()
    bot.systemctl("stop", installed.UNIT)
    assert time.monotonic() - began < 120
    assert bot.show("Result", "ExecMainStatus") == ["success", "0"]
    assert "half-configured" in host.sh("dpkg-query -W -f '${Status}' demo")
    host.write("/run/go-on", b"")
    wait_until(lambda: apt.installed(host, "demo") == "1.1", "dpkg to finish by itself", 60)
    bot.systemctl("start", installed.UNIT)
    wait_until(lambda: bot.lines("looked_up"), "the next start to ask what became of it", 90)
    assert "demo=1.1" in str(bot.lines("looked_up"))
