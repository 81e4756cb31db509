"""Cleanup beyond old files, on every Debian: package cache, journal, logs that nobody rotates, logrotate itself."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Bot
from tests.lab import apt
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until
from tests.lab.watch import Watch, differences, manifest

RELEASES = ("bullseye", "bookworm", "trixie")
CACHE = "/var/cache/apt/archives"
KIB, MIB = 2**10, 2**20
JOURNALD = "[Journal]\nStorage=persistent\nRateLimitBurst=0\nSystemMaxFileSize=4M\nSystemMaxUse=100M\n"
WRITER = """\
import signal, sys, time
def reopen(*_):
    global log
    log = open(sys.argv[1], "ab", 0)
reopen()
signal.signal(signal.SIGHUP, reopen)
number = 0
while True:
    number += 1
    log.write(b"line %08d %s\\n" % (number, b"." * 80))
    time.sleep(0.005)
"""
UNIT = """\
[Service]
ExecStart=/usr/bin/python3 /opt/writer.py /var/log/app/{name}.log
{reload}
"""
RELOAD = "ExecReload=/bin/kill -HUP $MAINPID"


def prepare(host: LabHost) -> None:
    host.write("/etc/systemd/journald.conf.d/lab.conf", JOURNALD)
    host.path("/var/log/journal").mkdir(exist_ok=True)
    host.write("/opt/writer.py", WRITER)
    host.write("/var/log/app/.keep", "")
    for name, reload in (("good", RELOAD), ("deaf", "ExecReload=/bin/true"), ("stuck", "")):
        host.write(f"/etc/systemd/system/{name}.service", UNIT.format(name=name, reload=reload))


@pytest.fixture(scope="module")
def hosts(make_fleet: Callable[..., Fleet]) -> Fleet:
    return make_fleet(*(HostSpec(release, release=release, disk_mib=700, prepare=prepare) for release in RELEASES))


@pytest.fixture
def bot(hosts: Fleet, tmp_path: Path) -> Callable[..., Bot]:
    def make(**task: Any) -> Bot:
        return Bot(tmp_path, hosts, tasks=[{"name": "logs", "type": "cleanup", **task}])

    return make


def free(host: LabHost) -> int:
    about = os.statvfs(host.live_path("/var"))
    return about.f_bfree * about.f_frsize


def made(answer: Any, host: LabHost) -> dict[str, Any]:
    (change,) = answer.task(host.name, "logs")["changes"]
    return dict(change)


def without_a_trace(bot: Bot, hosts: Fleet) -> Any:
    """A dry run, proven to have written nothing; traffic of the journal and of writers is not ours."""
    quiet = re.compile(
        r"/var/log/(wtmp|btmp|lastlog|auth\.log|journal(/.*)?|app/[a-z]+\.log)|/var/lib/(lastlog|wtmpdb)(/.*)?"
    )
    before = {host.name: manifest(host, hashed=False) for host in hosts}
    with Watch(hosts["bullseye"], allowed=quiet) as watch:
        answer = bot("dry-run", "--json")
        assert watch.events() == []
    for host in hosts:
        assert differences(before[host.name], manifest(host, hashed=False), quiet) == []
    return answer


def test_the_package_cache_goes_as_apt_get_clean_would_empty_it(
    hosts: Fleet, bot: Callable[..., Bot], tmp_path: Path
) -> None:
    debs = [apt.build(apt.Package("demo", version, size_bytes=3 * MIB), tmp_path) for version in ("1.0", "1.1")]
    for host in hosts:
        for deb in debs:
            host.write(f"{CACHE}/{deb.name}", os.urandom(2 * MIB) + deb.read_bytes())
        host.write(f"{CACHE}/partial/half_1_all.deb", "half")
        host.sh("sync")
    clean = bot(package_cache=True)
    planned = without_a_trace(clean, hosts)
    assert {made(planned, host)["action"] for host in hosts} == {"drop_package_cache"}
    before = {host.name: free(host) for host in hosts}
    answer = clean("run", "--json")
    assert answer.code == 0, answer.out
    for host in hosts:
        change = made(answer, host)
        assert (change["state"], change["reason"], change["undo"]) == ("done", "verified", "fetched again")
        freed = change["measured"]["freed_now"]
        assert freed >= 4 * MIB
        assert abs(free(host) - before[host.name] - freed) < MIB // 2  # the journal goes on
        left = sorted(os.listdir(host.live_path(CACHE)))
        host.run(["apt-get", "clean"])
        assert left == sorted(os.listdir(host.live_path(CACHE))) == ["lock", "partial"]
    again = clean("run", "--json")
    assert {again.task(host.name, "logs")["reason"] for host in hosts} == {"up_to_date"}


def test_while_apt_is_at_work_its_cache_stays(hosts: Fleet, bot: Callable[..., Bot]) -> None:
    host = hosts["bookworm"]
    host.write(f"{CACHE}/demo_1_all.deb", "x" * MIB)
    hold = (
        "import fcntl,time; f=open('/var/cache/apt/archives/lock','w'); fcntl.lockf(f,fcntl.LOCK_EX); time.sleep(300)"
    )
    host.sh(f'systemd-run --quiet --unit=hold python3 -c "{hold}"')
    wait_until(lambda: "POSIX" in host.read("/proc/locks").decode(), "the lock", 10)
    answer = bot(package_cache=True)("run", "--host", host.name, "--json")
    host.run(["systemctl", "stop", "hold"])
    change = made(answer, host)
    assert (change["state"], change["reason"]) == ("skipped", "busy")
    assert host.live_path(f"{CACHE}/demo_1_all.deb").exists()
    host.live_path(f"{CACHE}/demo_1_all.deb").unlink()


def journal(host: LabHost) -> dict[str, int]:
    folder = host.live_path(f"/var/log/journal/{host.machine_id}")
    return {path.name: path.stat().st_blocks * 512 for path in folder.iterdir()}


def fill_journal(host: LabHost, mib: int) -> None:
    host.sh(f"head -c {mib}M /dev/urandom | base64 -w 2000 | systemd-cat; journalctl --sync")


def test_the_journal_is_rotated_and_vacuumed_by_its_own_tool(hosts: Fleet, bot: Callable[..., Bot]) -> None:
    for host in hosts:
        fill_journal(host, 20)
        assert sum("@" in name for name in journal(host)) >= 3
    vacuum = bot(journal={"keep_bytes": "10 MiB"})
    planned = without_a_trace(vacuum, hosts)
    for host in hosts:
        change = made(planned, host)
        assert (change["action"], change["undo"], change["risk"]) == ("vacuum_journal", "none", "medium")
        (place,) = planned.task(host.name, "logs")["facts"]["journal"]["places"]
        usage = re.search(r"([0-9.]+)M", host.run(["journalctl", "--disk-usage"]).stdout)
        assert usage
        assert abs(place["bytes"] / MIB - float(usage[1])) < 5  # one more file, while the host goes on
    before = {host.name: (free(host), journal(host)) for host in hosts}
    listed = {host.name: {row[0] for row in made(planned, host)["identity"]["files"]} for host in hosts}
    answer = vacuum("run", "--json")
    assert answer.code == 0, answer.out
    for host in hosts:
        change = made(answer, host)
        assert (change["state"], change["reason"]) == ("done", "verified"), change
        gone = set(before[host.name][1]) - set(journal(host))
        assert gone == listed[host.name]
        assert change["measured"]["files"] == len(gone)
        assert abs(free(host) - before[host.name][0] - change["measured"]["freed_now"]) < 2 * MIB
        assert sum(journal(host).values()) <= 12 * MIB
        assert host.run(["journalctl", "-n", "1", "--no-pager"]).stdout


def test_what_journald_still_writes_is_rotated_first(hosts: Fleet, bot: Callable[..., Bot]) -> None:
    host = hosts["trixie"]
    host.write("/etc/systemd/journald.conf.d/lab.conf", JOURNALD.replace("4M", "64M"))
    host.run(["systemctl", "restart", "systemd-journald"])
    host.sh("journalctl --rotate; journalctl --vacuum-files=1")
    fill_journal(host, 24)
    inode = host.live_path(f"/var/log/journal/{host.machine_id}/system.journal").stat().st_ino
    answer = bot(journal={"keep_bytes": "8 MiB"})("run", "--host", host.name, "--json")
    change = made(answer, host)
    assert (change["state"], change["reason"]) == ("done", "verified"), change
    assert "rotated first" in change["note"]
    assert change["measured"]["freed_now"] > 10 * MIB
    folder = host.live_path(f"/var/log/journal/{host.machine_id}")
    assert inode not in {path.stat().st_ino for path in folder.iterdir()}
    host.sh("logger still-logging; journalctl --sync")
    assert "still-logging" in host.run(["journalctl", "-n", "20", "--no-pager"]).stdout
    host.write("/etc/systemd/journald.conf.d/lab.conf", JOURNALD)
    host.run(["systemctl", "restart", "systemd-journald"])


def start(host: LabHost, name: str) -> None:
    host.sh(f"systemctl daemon-reload; systemctl start {name}")
    log = f"/var/log/app/{name}.log"
    wait_until(lambda: host.live_path(log).exists() and host.live_path(log).stat().st_size > 20 * KIB, log, 30)


def grown(path: Path) -> bool:
    return path.stat().st_size > 0


def stop(host: LabHost, name: str) -> None:
    host.run(["systemctl", "stop", name])
    for path in host.live_path("/var/log/app").glob(f"{name}.log*"):
        path.unlink()


def growing(name: str, **more: Any) -> dict[str, Any]:
    return {"rotate": [{"path": f"/var/log/app/{name}.log", "max_bytes": 10 * KIB, **more}]}


def test_a_log_that_grows_is_rotated_and_its_service_writes_on_without_losing_a_line(
    hosts: Fleet, bot: Callable[..., Bot]
) -> None:
    for host in hosts:
        start(host, "good")
        log = host.live_path("/var/log/app/good.log")
        os.chown(log, *host.ids("ops:adm"))
        log.chmod(0o640)
    rotate = bot(**growing("good", reload="good.service"))
    planned = without_a_trace(rotate, hosts)
    assert {made(planned, host)["note"] for host in hosts} == {"reloads good.service"}
    answer = rotate("run", "--json")
    assert answer.code == 0, answer.out
    for host in hosts:
        change = made(answer, host)
        assert (change["state"], change["reason"]) == ("done", "verified"), change
        assert (change["measured"]["freed_now"], change["undo"]) == (0, "rename back")
        old, new = host.live_path(change["measured"]["rotated"]), host.live_path("/var/log/app/good.log")
        facts = new.stat()
        assert (facts.st_mode & 0o777, facts.st_uid, facts.st_gid) == (0o640, *host.ids("ops:adm"))
        wait_until(functools.partial(grown, new), "the new log", 10)
        text = old.read_bytes() + new.read_bytes()
        numbers = [int(line.split()[1]) for line in text.splitlines() if line.endswith(b".")]
        assert numbers == list(range(1, len(numbers) + 1))
        stop(host, "good")


def test_a_log_whose_writer_nothing_makes_reopen_stays_and_the_writer_is_named(
    hosts: Fleet, bot: Callable[..., Bot]
) -> None:
    for host in hosts:
        start(host, "stuck")
    answers = [
        bot(**growing("stuck"))("run", "--json"),
        bot(**growing("stuck", reload="stuck.service"))("run", "--json"),
    ]
    for host in hosts:
        for answer in answers:
            task = answer.task(host.name, "logs")
            assert (task["state"], task["reason"], task["changes"]) == ("skipped", "needs_reload", [])
        assert re.search(r"open by python3 \(\d+\)", answers[0].task(host.name, "logs")["detail"])
        assert "cannot be reloaded" in answers[1].task(host.name, "logs")["detail"]
        assert [path.name for path in host.live_path("/var/log/app").glob("stuck*")] == ["stuck.log"]
        stop(host, "stuck")


def test_a_service_that_does_not_reopen_is_a_failure_that_names_the_place(
    hosts: Fleet, bot: Callable[..., Bot]
) -> None:
    host = hosts["bookworm"]
    start(host, "deaf")
    answer = bot(**growing("deaf", reload="deaf.service"))("run", "--host", host.name, "--json")
    change = made(answer, host)
    assert (answer.code, change["state"], change["reason"]) == (1, "failed", "needs_reload")
    assert change["measured"]["rotated"] in change["detail"]
    assert host.live_path(change["measured"]["rotated"]).stat().st_size > 10 * KIB
    stop(host, "deaf")


def test_what_is_wrong_with_logrotate_is_told_and_nothing_is_made_to_pass(
    hosts: Fleet, bot: Callable[..., Bot]
) -> None:
    for host in hosts:
        host.write("/var/log/open/a.log", "line\n")
        host.live_path("/var/log/open").chmod(0o777)
        host.write("/etc/logrotate.d/open", "/var/log/open/*.log {\n daily\n}\n")
        host.write("/etc/logrotate.d/twice", "/var/log/open/a.log {\n daily\n}\n")
        host.write("/etc/logrotate.d/broken", "/var/log/none.log {\n nonsense\n}\n")
        host.write("/etc/logrotate.d/loop", "/var/log/loop/* {\n missingok\n}\n")
        host.run(["systemctl", "start", "logrotate.service"], check=False)
    answer = without_a_trace(bot(patterns=[{"path": "/var/log/open/*.old", "retention_days": 30}]), hosts)
    for host in hosts:
        problems = "\n".join(answer.task(host.name, "logs")["facts"]["logrotate_problems"])
        for words in (
            "insecure permissions",
            "duplicate log entry",
            "nonsense",
            "/var/log/loop/*",
            "logrotate.service failed",
        ):
            assert words in problems, (host.name, words, problems)
        assert host.live_path("/var/log/open").stat().st_mode & 0o777 == 0o777
