"""A run does exactly what the plan lists, proves it, and can be taken back."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Bot, wait_while_running
from tests.lab import apt
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import wait_until
from tests.lab.watch import manifest

HELPER = "^/usr/bin/python3 .*[b]=sys.stdin"  # matches the helper alone, not the shell that looks for it

OLD = {
    "/var/log/app/old.1.log": (b"first line\n" * 5000, 90.0),
    "/var/log/app/odd \xff\n name.2.log".encode("latin-1").decode("utf-8", "surrogateescape"): (b"x\n" * 2000, 60.0),
}
YOUNG = {"/var/log/app/young.1.log": (b"today\n", 1.0), "/var/log/app/current.log": (b"no match\n", 90.0)}


def prepare(host: LabHost) -> None:
    for path, (content, _) in {**OLD, **YOUNG}.items():
        host.write(path, content, mode=0o640, owner="root:adm")
    host.age({path: days for path, (_, days) in {**OLD, **YOUNG}.items()})


def with_logs(name: str, release: str) -> HostSpec:
    return HostSpec(name, release=release, disk_mib=600, prepare=prepare)


@pytest.fixture
def patched_fleet(own_fleet: Fleet, make_repository: Callable[..., apt.Repository]) -> Fleet:
    """One host of each release, with old logs and one security update waiting."""
    own_fleet.boot(*(with_logs(release, release) for release in ("bullseye", "bookworm", "trixie")))
    for host in own_fleet:
        apt.install(host, apt.Package("demo", "1.0"), apt.Package("other", "1.0"))
        repository = make_repository(apt.security(host.spec.release))
        repository.publish(apt.Package("demo", "1.1"))
        repository.attach(host)
    return own_fleet


def changes(document: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return sorted(
        (host["host"], change["action"], change["object"], change["state"])
        for host in document["hosts"]
        for task in host["tasks"]
        for change in task["changes"]
    )


def test_a_run_makes_the_listed_changes_and_no_other(patched_fleet: Fleet, tmp_path: Path) -> None:
    bot = Bot(tmp_path, patched_fleet)
    planned = bot("dry-run", "--json", "--out", str(tmp_path / "plan.json"))
    expected = sorted(
        (host.name, action, name, "planned")
        for host in patched_fleet
        for action, name in [("upgrade_package", "demo=1.1"), *(("compress_file", path) for path in OLD)]
    )
    assert changes(planned.document) == expected
    before = {host.name: manifest(host) for host in patched_fleet}

    ran = bot("run", "--plan", str(tmp_path / "plan.json"), "--json")
    assert ran.code == 0, ran.err + ran.out
    assert changes(ran.document) == [(host, action, name, "done") for host, action, name, _ in expected]
    for host in patched_fleet:
        assert apt.installed(host, "demo") == "1.1"
        assert apt.installed(host, "other") == "1.0"
        after = manifest(host)
        for path, (content, _) in OLD.items():
            assert path not in after
            packed = after[path + ".gz"]
            was = before[host.name][path]
            assert (packed.mode, packed.owner, packed.group, packed.mtime_ns) == (
                was.mode,
                was.owner,
                was.group,
                was.mtime_ns,
            )
            assert gzip.decompress(host.live_path(path + ".gz").read_bytes()) == content
        touched = {
            path for path in set(before[host.name]) | set(after) if before[host.name].get(path) != after.get(path)
        }
        ours = (
            "/var/lib/maintenancebot",
            "/var/log/app",
            "/var/lib/dpkg",
            "/var/lib/apt",
            "/var/cache/apt",
            "/var/log/apt",
        )
        traces = (
            "/var/log",
            "/var/lib/lastlog",
            "/var/lib/wtmpdb",
            "/usr/share/doc/demo",
            "/var/lib/systemd",
            "/etc/ld.so.cache",
        )
        alien = sorted(
            path for path in touched if not path.startswith((*ours, *traces, "/usr/share", "/var/cache", "/var/lib"))
        )
        assert alien == []

    again = bot("run", "--json")
    assert (again.code, again.document["state"]) in [(0, "nothing"), (0, "skipped")], again.out
    assert changes(again.document) == []
    verified = bot("audit", "verify")
    assert verified.code == 0, verified.out + verified.err
    shown = bot("report", ran.document["run_id"], "--format", "json")
    assert shown.document["hosts"] == ran.document["hosts"]


def test_what_was_compressed_comes_back_as_it_was(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1", disk_mib=600, prepare=prepare)
    bot = Bot(tmp_path, own_fleet)
    before = manifest(host)
    assert bot("run", "--task", "log_rotation", "--json").code == 0
    listed = json.loads(bot("trash", "list", "--json").out)
    items = {item["path"]: item["id"] for item in listed["hosts"][0]["items"]}
    assert set(items) == set(OLD)
    for path in OLD:
        restored = bot("trash", "restore", "web-1", items[path])
        assert restored.code == 0, restored.out + restored.err
    after = manifest(host)
    for path in OLD:
        was, now = before[path], after[path]
        same = ("mode", "owner", "group", "size", "mtime_ns", "content")
        assert [getattr(now, name) for name in same] == [getattr(was, name) for name in same]
    again = bot("dry-run", "--task", "log_rotation", "--json")
    assert changes(again.document) == [], "a restored file is left alone for a while"


def test_what_changed_after_the_plan_is_skipped_and_said(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1", disk_mib=600, prepare=prepare)
    bot = Bot(tmp_path, own_fleet)
    plan = tmp_path / "plan.json"
    assert bot("dry-run", "--task", "log_rotation", "--out", str(plan)).code == 0
    target = host.live_path("/var/log/app/old.1.log")
    with target.open("ab") as stream:
        stream.write(b"a line that came later\n")
    ran = bot("run", "--plan", str(plan), "--json")
    states = {
        change["object"]: (change["state"], change["reason"]) for change in ran.task("web-1", "log_rotation")["changes"]
    }
    assert states["/var/log/app/old.1.log"] == ("skipped", "changed_since")
    assert target.read_bytes().endswith(b"later\n")


def test_an_edited_or_old_plan_is_refused_and_nothing_is_touched(fleet: Fleet, tmp_path: Path) -> None:
    bot = Bot(tmp_path, fleet)
    plan = tmp_path / "plan.json"
    bot("dry-run", "--task", "log_rotation", "--out", str(plan))
    plan.write_text(plan.read_text().replace('"hosts"', '"hosts" ', 1).replace("bookworm", "bookwurm", 1))
    edited = bot("run", "--plan", str(plan))
    assert (edited.code, edited.out) == (2, "")
    assert "its digest does not fit; make the plan anew" in edited.err
    assert len(edited.err.strip().splitlines()) == 1
    for content in ("", "{}", "[1]", "not json", "\x00"):
        plan.write_text(content)
        refused = bot("run", "--plan", str(plan))
        assert (refused.code, len(refused.err.strip().splitlines())) == (2, 1), refused.err


def test_the_kill_switch_stops_a_run_before_its_next_change(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    files = {f"/var/log/app/{number:04d}.x.log": (b"line\n" * 50, 90.0) for number in range(400)}

    def many(host: LabHost) -> None:
        for path, (content, _) in files.items():
            host.write(path, content)
        host.age({path: days for path, (_, days) in files.items()})

    host = make_host("web-1", disk_mib=600, prepare=many)
    bot = Bot(tmp_path, own_fleet, deletion={"caps": {"share": 1.0}})
    running = bot.start("run", "--task", "log_rotation", "--json")
    folder = host.live_path("/var/log/app")
    wait_while_running(running, lambda: len(list(folder.glob("*.gz"))) > 20, "the first files to be compressed")
    stopped = bot("stop", "--reason", "a test")
    count = len(list(folder.glob("*.gz")))
    out, err = running.communicate(timeout=60)
    assert stopped.code == 0, stopped.err
    assert running.returncode == 3, err
    document = json.loads(out)
    states = [change["state"] for change in document["hosts"][0]["tasks"][0]["changes"]]
    reasons = {
        change["reason"] for change in document["hosts"][0]["tasks"][0]["changes"] if change["state"] == "skipped"
    }
    assert reasons == {"stopped"}
    assert states.count("done") == len(list(folder.glob("*.gz"))) <= count + 1
    refused = bot("run", "--task", "log_rotation", "--json")
    assert (refused.code, refused.task("web-1", "log_rotation")["reason"]) == (3, "stopped")
    assert bot("resume").code == 0
    assert bot("run", "--task", "log_rotation", "--json").code == 0
    assert len(list(folder.glob("*.gz"))) == 400


@pytest.mark.parametrize("victim", ["controller", "helper"])
def test_a_kill_in_the_middle_loses_nothing_and_the_next_run_tells_it(
    victim: str, make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    files = {f"/var/log/app/{number:04d}.x.log": (os.urandom(3000), 90.0) for number in range(300)}

    def many(host: LabHost) -> None:
        for path, (content, _) in files.items():
            host.write(path, content)
        host.age({path: days for path, (_, days) in files.items()})

    host = make_host("web-1", disk_mib=600, prepare=many)
    bot = Bot(tmp_path, own_fleet, deletion={"caps": {"share": 1.0}})
    running = bot.start("run", "--task", "log_rotation", "--json")
    folder = host.live_path("/var/log/app")
    wait_while_running(running, lambda: len(list(folder.glob("*.gz"))) > 20, "the first files to be compressed")
    if victim == "controller":
        running.kill()
    else:
        host.sh(f"pkill -9 -f '{HELPER}'")
    out, err = running.communicate(timeout=90)
    if victim == "helper":
        assert running.returncode == 1, err
        reasons = {
            change["reason"]
            for change in json.loads(out)["hosts"][0]["tasks"][0]["changes"]
            if change["state"] != "done"
        }
        assert reasons == {"link_lost"}
    wait_until(lambda: host.sh(f"pgrep -fc '{HELPER}' || true").strip() == "0", "the helper to end", 60)
    for path, (content, _) in files.items():
        place = host.live_path(path)
        packed = host.live_path(path + ".gz")
        assert (place.exists() and place.read_bytes() == content) or gzip.decompress(packed.read_bytes()) == content
    history = bot("history", "--json")
    assert history.code == 0
    finished = bot("run", "--task", "log_rotation", "--json")
    assert finished.code == 0, finished.out
    if victim == "controller":
        assert any("was unfinished" in note for note in finished.document["notes"]), finished.document["notes"]
    assert len(list(folder.glob("*.gz"))) == 300
    assert bot("audit", "verify").code == 0


def test_ctrl_c_ends_after_the_change_in_hand(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    files = {f"/var/log/app/{number:04d}.x.log": (b"line\n" * 50, 90.0) for number in range(400)}

    def many(host: LabHost) -> None:
        for path, (content, _) in files.items():
            host.write(path, content)
        host.age({path: days for path, (_, days) in files.items()})

    host = make_host("web-1", disk_mib=600, prepare=many)
    bot = Bot(tmp_path, own_fleet, deletion={"caps": {"share": 1.0}})
    running = bot.start("run", "--task", "log_rotation", "--json")
    folder = host.live_path("/var/log/app")
    wait_while_running(running, lambda: len(list(folder.glob("*.gz"))) > 20, "the first files to be compressed")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 3, err
    rest = {
        change["reason"] for change in json.loads(out)["hosts"][0]["tasks"][0]["changes"] if change["state"] != "done"
    }
    assert rest == {"interrupted"}
