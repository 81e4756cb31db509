"""A full file system of a real host gets below its target, each way alone, and the figures are those of statvfs."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Bot, wait_while_running
from tests.lab.disks import Disk, add_disk
from tests.lab.fleet import Fleet
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import run
from tests.lab.watch import Watch, differences, manifest

MIB = 2**20
SIZE = 200
TARGET = 80
LINE = b"Nov 21 03:00:00 web-1 app[1234]: a request of 192.0.2.17 was answered with 200 in %08d ms\n"
DAY = 86400


@pytest.fixture(scope="module")
def shared(make_fleet: Callable[..., Fleet]) -> Fleet:
    """One host for all tests of this module; each brings its own disk."""
    return make_fleet(HostSpec("web-1", release="bookworm"))


@pytest.fixture
def host(shared: Fleet) -> LabHost:
    return shared["web-1"]


def log(size: int) -> bytes:
    """A log that looks like one."""
    lines = b"".join(LINE % number for number in range(size // len(LINE % 0) + 1))
    return lines[:size]


def fill(disk: Disk, percent: int = 95) -> None:
    """Fill it up to so many percent with one young file that nobody may touch."""
    (disk.mount_point / "db").mkdir(exist_ok=True)
    told = os.statvfs(disk.mount_point)
    disk.fill(told.f_blocks * told.f_frsize * (100 - percent) // 100, "db/table")


def used(host: LabHost, mount: str) -> int:
    """Percent in use, as the host's own df says."""
    return int(host.run(["df", "--output=pcent", mount]).stdout.split()[1].strip("%"))


def logs_on(host: LabHost, mount: str, content: bytes, count: int) -> Disk:
    """A disk of 200 MB with old logs, 95 % full."""
    disk = old_disk(host, mount, {f"logs/{number:04}.log": content for number in range(count)})
    fill(disk)
    assert 94 <= used(host, mount) <= 96
    return disk


def old_disk(host: LabHost, mount: str, files: Mapping[str, bytes]) -> Disk:
    """A disk with files that are 90 days old in all their times; mounted once, since others may copy the mounts."""
    directory = host.directory / "disks" / mount.strip("/").replace("/", "-")
    disk = Disk(directory / "disk.img", directory / "mount")
    (directory / "tree" / "logs").mkdir(parents=True)
    for name, content in files.items():
        (directory / "tree" / name).write_bytes(content)
    with disk.image.open("wb") as image:
        image.truncate(SIZE * MIB)
    run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", "-d", directory / "tree", disk.image])
    shutil.rmtree(directory / "tree")
    then = int(time.time()) - 90 * DAY
    times = [f"set_inode_field /{name} {kind}time @{then}\n" for name in files for kind in ("a", "m", "c", "cr")]
    run(["debugfs", "-w", "-f", "/dev/stdin", disk.image], stdin="".join(times))
    host.bind(disk.mount().mount_point, mount)
    return disk


def bot_for(tmp_path: Path, fleet: Fleet, mount: str, *ways: str, **more: Any) -> Bot:
    """The command with one cleanup task for the logs of a mount, and these ways to free space."""
    pattern = {"path": f"{mount}/logs/*.log", "retention_days": 30}
    deletion = {"allow": [f"{mount}/logs"], "caps": {"share": 1.0}, **more.pop("deletion", {})}
    return Bot(
        tmp_path,
        fleet,
        tasks=[{"name": "logs", "type": "cleanup", "patterns": [pattern]}],
        deletion=deletion,
        remediation={"disk": {"target_percent": TARGET, "ways": list(ways), **more}},
    )


def heal(bot: Bot, mount: str, *words: str) -> Any:
    return bot("remediate", "disk", "--host", "web-1", "--mount", mount, "--json", *words)


def must_be_healed(bot: Bot, host: LabHost, disk: Disk, mount: str, way: str) -> dict[str, Any]:
    """Heal it by one way alone, and compare every figure with the file system's own."""
    before = disk.free_bytes()
    answer = heal(bot, mount)
    task = answer.task("web-1", "remediate_disk")
    assert answer.code == 0, answer.out + answer.err
    assert (task["state"], task["reason"]) == ("done", "verified")
    assert used(host, mount) < TARGET
    freed = disk.free_bytes() - before
    assert task["facts"]["freed"] == freed
    assert task["facts"]["freed_now"] == freed == answer.document["totals"]["freed_now"]
    assert f"% -> {used(host, mount)} %, " in task["detail"]
    assert {change["effect"]["way"] for change in task["changes"]} == {way}
    made = [change for change in task["changes"] if change["state"] == "done"]
    assert made
    assert {change["reason"] for change in task["changes"] if change not in made} <= {"target_met"}
    again = heal(bot, mount)
    assert (again.code, again.document["state"]) == (0, "nothing")
    return dict(task)


def test_by_compressing_old_files_into_the_trash(host: LabHost, shared: Fleet, tmp_path: Path) -> None:
    mount = "/srv/compressed"
    disk = logs_on(host, mount, log(6 * MIB), 20)
    bot = bot_for(tmp_path, shared, mount, "compressed")
    task = must_be_healed(bot, host, disk, mount, "compressed")
    assert any(change["reason"] == "target_met" for change in task["changes"]), "it ends when enough is free"
    listed = json.loads(bot("trash", "list", "--json").out)["hosts"][0]["items"]
    item = next(item for item in listed if item["path"].startswith(mount))
    assert item["form"] == "gzip"
    restored = bot("trash", "restore", "web-1", item["id"])
    assert restored.code == 0, restored.out + restored.err
    assert host.read(item["path"]) == log(6 * MIB)


def test_by_moving_old_files_to_another_disk(host: LabHost, shared: Fleet, tmp_path: Path) -> None:
    mount, spare = "/srv/moved", "/srv/spare"
    disk = logs_on(host, mount, os.urandom(6 * MIB), 20)
    add_disk(host, spare, size_mib=SIZE)
    deletion = {"trash": {"elsewhere": f"{spare}/trash"}}
    bot = bot_for(tmp_path, shared, mount, "elsewhere", deletion=deletion)
    must_be_healed(bot, host, disk, mount, "elsewhere")
    assert used(host, spare) > 10
    names = {path.name for path in (disk.mount_point / "logs").iterdir()}
    listed = json.loads(bot("trash", "list", "--json").out)["hosts"][0]["items"]
    items = [item for item in listed if item["path"].startswith(mount)]
    assert len(items) + len(names) == 20
    assert {item["store"] for item in items} == {f"{spare}/trash"}
    restored = bot("trash", "restore", "web-1", items[0]["id"])
    assert restored.code == 0, restored.out + restored.err


def test_by_purging_the_oldest_of_the_trash_and_no_younger_ones(host: LabHost, shared: Fleet, tmp_path: Path) -> None:
    mount = "/srv/purged"
    disk = logs_on(host, mount, os.urandom(6 * MIB), 20)
    bot = bot_for(tmp_path, shared, mount, "purge")
    assert bot("run", "--task", "logs", "--json").code == 0
    assert used(host, mount) >= 94, "a move on the same disk frees nothing"
    young = heal(bot, mount)
    assert (young.code, young.host("web-1")["reason"]) == (1, "not_enough")
    for number, path in enumerate(sorted(disk.mount_point.glob(".maintenancebot/trash/*/manifest.json"))):
        record = json.loads(path.read_text())
        came = record["quarantined_at"] - (number + 1) * DAY
        path.write_text(json.dumps({**record, "quarantined_at": came, "purge_after": came + 30 * DAY}))
    task = must_be_healed(bot, host, disk, mount, "purge")
    assert len(task["changes"]) <= 13, "only those that came a week ago"
    early = bot("trash", "purge", "--json")
    assert (early.code, early.document["totals"]["items_purged"]) == (0, 0)


def test_by_dropping_the_package_cache(host: LabHost, shared: Fleet, tmp_path: Path) -> None:
    mount = "/var/cache/apt/archives"
    disk = old_disk(host, mount, {f"demo_{n}_all.deb": os.urandom(6 * MIB) for n in range(12)})
    fill(disk)
    bot = bot_for(tmp_path, shared, "/srv/none", "package_cache")
    must_be_healed(bot, host, disk, mount, "package_cache")
    assert list(disk.mount_point.glob("*.deb")) == []
    assert (disk.mount_point / "db" / "table").exists()


def test_when_nothing_allowed_frees_it_that_is_said_with_who_uses_the_space(
    host: LabHost, shared: Fleet, tmp_path: Path
) -> None:
    mount = "/srv/stuck"
    disk = logs_on(host, mount, log(MIB), 3)
    hold = (
        f"exec 9>{mount}/deleted; head -c 5000000 /dev/zero >&9; rm {mount}/deleted; "
        "echo $$$$ > /run/holder; exec sleep 600"  # systemd makes one of two
    )
    host.run(["systemd-run", "--unit=holder", "/bin/sh", "-c", hold])
    host.sh("while [ ! -s /run/holder ]; do sleep 0.1; done")
    pid = host.read("/run/holder").decode().strip()
    bot = bot_for(tmp_path, shared, mount, "compressed", "purge")
    before = disk.free_bytes()
    answer = heal(bot, mount)
    host.run(["systemctl", "stop", "holder"])
    task = answer.task("web-1", "remediate_disk")
    assert (answer.code, task["state"], task["reason"]) == (1, "failed", "not_enough")
    assert f"{mount}/db " in task["detail"]
    assert f"sleep ({pid}) has open: {mount}/deleted" in task["detail"]
    assert task["facts"]["freed"] == sum(change["measured"]["freed_now"] for change in task["changes"])
    assert disk.free_bytes() >= before


def test_a_dry_run_lists_the_same_and_writes_nothing(host: LabHost, shared: Fleet, tmp_path: Path) -> None:
    mount = "/srv/dry"
    logs_on(host, mount, log(6 * MIB), 20)
    bot = bot_for(tmp_path, shared, mount, "compressed")
    before = manifest(host, hashed=False)
    with Watch(host) as watch:
        listed = heal(bot, mount, "--dry-run")
        purge = bot("trash", "purge", "--dry-run", "--json")
        events = watch.events()
    assert (listed.code, listed.document["state"]) == (0, "planned")
    assert purge.code == 0, purge.err
    assert events == []
    assert differences(before, manifest(host, hashed=False)) == []
    assert not bot.state.exists()
    made = heal(bot, mount)
    ids = [[change["id"] for change in one.task("web-1", "remediate_disk")["changes"]] for one in (listed, made)]
    assert ids[0] == ids[1]


def test_the_kill_switch_stops_it_before_its_next_change(host: LabHost, shared: Fleet, tmp_path: Path) -> None:
    mount, spare = "/srv/killed", "/srv/killed-spare"
    disk = logs_on(host, mount, os.urandom(100 * 1024), 1200)
    other = add_disk(host, spare, size_mib=SIZE)
    bot = bot_for(tmp_path, shared, mount, "elsewhere", deletion={"trash": {"elsewhere": f"{spare}/trash"}})
    running = bot.start("remediate", "disk", "--host", "web-1", "--mount", mount, "--json")

    def items() -> int:
        return len(list(other.mount_point.glob("trash/*/item")))

    wait_while_running(running, lambda: items() > 5, "the first files to be moved")
    assert bot("stop", "--reason", "a test").code == 0
    count = items()
    out, err = running.communicate(timeout=60)
    assert running.returncode == 3, err
    task = json.loads(out)["hosts"][0]["tasks"][0]
    assert (task["state"], task["reason"]) == ("skipped", "stopped")
    assert items() <= count + 1
    assert len(list((disk.mount_point / "logs").iterdir())) + items() == 1200


def test_a_purge_by_command_deletes_what_is_due(host: LabHost, shared: Fleet, tmp_path: Path) -> None:
    mount = "/srv/due"
    disk = logs_on(host, mount, os.urandom(MIB), 6)
    bot = bot_for(tmp_path, shared, mount)
    assert bot("run", "--task", "logs").code == 0
    records = sorted(disk.mount_point.glob(".maintenancebot/trash/*/manifest.json"))
    for path in records[:4]:
        record = json.loads(path.read_text())
        came = record["quarantined_at"] - 31 * DAY
        path.write_text(json.dumps({**record, "quarantined_at": came, "purge_after": came + 30 * DAY}))
    before = disk.free_bytes()
    purged = bot("trash", "purge", "--json")
    assert purged.code == 0, purged.out + purged.err
    totals = purged.document["totals"]
    assert (totals["items_purged"], totals["freed_now"]) == (4, disk.free_bytes() - before)
    assert [path.exists() for path in records] == [False] * 4 + [True] * 2
    shown = bot("report", purged.document["run_id"], "--format", "json")
    assert shown.document["hosts"] == purged.document["hosts"]
    assert "trash purge" in bot("history").out
    assert bot("audit", "verify").code == 0
