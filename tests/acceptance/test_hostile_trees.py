"""The installed command on a host whose allowed tree is full of traps, and changes all the time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from maintenancebot.model import Reason
from tests.acceptance.command import Bot
from tests.lab import hostile
from tests.lab.disks import Disk, add_disk
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost
from tests.lab.watch import manifest

RUNS = int(os.environ.get("LAB_RUNS", "3"))
MANY = int(os.environ.get("LAB_FILES", "20000"))
MEMORY_KIB = 64 * 1024
MEASURED = """#!/usr/bin/python3.real
import os, sys
child = os.fork()
if child == 0:
    os.execv("/usr/bin/python3.real", ["/usr/bin/python3", *sys.argv[1:]])
status, usage = os.wait4(child, 0)[1:]
with open("/root/memory", "a") as stream:
    stream.write("%d\\n" % usage.ru_maxrss)
os._exit(os.WEXITSTATUS(status))
"""


def populate(place: Path) -> dict[str | bytes, float]:
    """The tree and the victim on one file system, both 90 days old in every respect."""
    (place / "logs").mkdir()
    aged = hostile.build(place / "logs", place / "victim", RUNS, MANY, "/srv/victim")
    hostile.lock_attributes(place / "logs", "+")
    return {os.path.relpath(path, os.fsencode(place)): 90.0 for path in aged}


def settings(run: int) -> dict[str, Any]:
    forms = (f"**/run{run}-*", "odd/**/*", "swap/**/file*.log", "bound*")
    patterns = [{"path": f"/srv/logs/{form}", "retention_days": 30, "links": run % 2 == 1} for form in forms]
    patterns.append({"path": "/srv/logs/many/**/*", "retention_days": 3000})
    return {
        "tasks": [{"name": "logs", "type": "cleanup", "patterns": patterns}],
        "deletion": {"allow": ["/srv/logs"], "caps": {"share": 1.0, "files": 2000}},
    }


def prepare(host: LabHost) -> Disk:
    """The traps, the helper's memory measured, a file open, mounts in the tree."""
    disk = add_disk(host, "/srv", populate=populate, size_mib=256 + MANY // 100, inodes=MANY * 2 + 60000)
    place = host.path("/usr/bin/python3")
    place.rename(f"{place}.real")
    host.write("/usr/bin/python3", MEASURED, mode=0o755)
    host.sh("mount --bind /srv/victim /srv/logs/bound")
    host.sh("mount --bind /srv/victim/precious.log /srv/logs/bound-file.log")
    host.write("/root/swap.py", hostile.SWAPPER)
    host.write("/root/hold.py", "import time; f = open('/srv/logs/odd/open.log'); time.sleep(1e6)")
    host.run(["systemd-run", "--quiet", "/usr/bin/python3.real", "/root/hold.py"])
    return disk


def start_swapping(host: LabHost) -> None:
    words = ["/usr/bin/python3.real", "/root/swap.py", "/srv/logs", f"{time.time() + 9e4}"]
    host.run(["systemd-run", "--quiet", "--unit=swapper", *words])


def test_nothing_outside_is_touched_and_every_refusal_has_its_reason(
    make_host: Callable[..., LabHost], own_fleet: Fleet, tmp_path: Path
) -> None:
    host = make_host("web-1")
    disk = prepare(host)
    tree, victim = disk.mount_point / "logs", disk.mount_point / "victim"
    bot = Bot(tmp_path, own_fleet)
    ssh = {"ssh": _ssh(bot)}
    before, etc, files = hostile.told(victim), manifest(host, "/etc"), hostile.inodes(disk.mount_point)
    start_swapping(host)
    moved: set[str] = set()
    for run in range(RUNS):
        bot.config.write_text(json.dumps({**settings(run), **ssh}))
        ran = bot("run", "--json")
        task = ran.task("web-1", "logs")
        assert set(task["facts"]["kept"]) <= set(Reason), ran.err
        told = {change["object"]: (change["state"], change["reason"]) for change in task["changes"]}
        assert {state for state, _ in told.values()} <= {"done", "skipped", "nothing"}, told
        assert {reason for _, reason in told.values()} <= set(Reason) - {"", "helper_error"}, told
        moved |= {path for path, (state, _) in told.items() if state == "done"}
    assert host.run(["systemctl", "is-active", "swapper"], check=False).stdout.strip() == "active"
    host.run(["systemctl", "stop", "swapper"])
    assert hostile.told(victim) == before
    assert manifest(host, "/etc") == etc
    assert all(path.startswith("/srv/logs/") for path in moved)
    assert not [path for path in moved if path.startswith(("/srv/logs/bound", "/srv/logs/odd/log/"))]
    assert {f"/srv/logs/calm/run{run}-{number}.log" for run in range(RUNS) for number in range(10)} <= moved
    assert files <= hostile.inodes(disk.mount_point)
    peak = max(map(int, host.read("/root/memory").split()))
    print(json.dumps({"runs": RUNS, "files": MANY, "moved": len(moved), "peak_kib": peak}))
    assert peak < MEMORY_KIB
    hostile.lock_attributes(tree, "-")


def _ssh(bot: Bot) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(bot.config.read_text())["ssh"]
    return found
