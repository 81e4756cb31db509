"""A full disk of a small host, and what may be done about it."""

from __future__ import annotations

import subprocess
from typing import Any

import yaml

from tests.lab.disks import Disk
from tests.unit.places import Place


def configure(place: Place, disk: Disk, ways: tuple[str, ...] = ("compressed",), **more: Any) -> None:
    pattern = {"path": f"{disk.mount_point}/logs/*.log", "retention_days": 30}
    deletion = {"allow": [f"{disk.mount_point}/logs"], **more.pop("deletion", {})}
    task = {"name": "logs", "type": "cleanup", "patterns": [more.pop("pattern", pattern)]}
    healing = {"target_percent": 85, "ways": list(ways)}
    ssh = {"idle_timeout": 20}
    settings = {"tasks": [task], "deletion": deletion, "remediation": {"disk": healing}, "ssh": ssh, **more}
    place.config.write_text(yaml.safe_dump(settings))


def percent(disk: Disk) -> int:
    done = subprocess.run(["df", "--output=pcent", disk.mount_point], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1].strip("%"))
