"""A cgroup of its own for each host, which keeps services of two hosts apart and lets a host be frozen or killed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tests.lab.tools import LabError, wait_until

TOP = "maintenancebot-lab"


def cgroup(machine: str) -> Path:
    """The directory of a machine's cgroup, which may not exist yet."""
    return _hierarchies()[0] / TOP / machine


def kill(machine: str) -> None:
    """Kill every process of a machine at once and wait until they are gone."""
    place = cgroup(machine)
    if (place / "cgroup.kill").exists():
        (place / "cgroup.kill").write_text("1")
        wait_until(lambda: "populated 0" in (place / "cgroup.events").read_text(), f"{machine} is off")


def freeze(machine: str, frozen: bool) -> None:
    """Stop or continue every process of a machine, but not what supervises it."""
    (cgroup(machine) / "payload/cgroup.freeze").write_text("1" if frozen else "0")


def clear(machine: str) -> None:
    """Remove what a dead machine leaves in each hierarchy."""
    for hierarchy in _hierarchies():
        for directory, _, _ in os.walk(hierarchy / TOP / machine, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)


def _hierarchies() -> list[Path]:
    """The unified hierarchy first, then systemd's own one where there is a hybrid."""
    unified, named = [], []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2":
            unified.append(Path(where))
        elif kind == "cgroup" and "name=systemd" in options:
            named.append(Path(where))
    if not unified:
        raise LabError("this machine has no cgroup2 mount: mount -t cgroup2 none /sys/fs/cgroup/unified")
    return unified[:1] + named
