"""Small hosts for the application."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from maintenancebot import app
from maintenancebot.model import Host
from maintenancebot.remote.local import LocalSession
from tests.lab.disks import Disk, make_disk
from tests.unit.disks import configure
from tests.unit.engine.boxes import Box, can_make_boxes, cleanup, clock
from tests.unit.places import Place, set_clock

# How long one example takes says nothing on a machine that has other work.
hypothesis.settings.register_profile("steady", deadline=None)
hypothesis.settings.load_profile("steady")


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Each test finds the loggers as a new process has them: commands that are run within a test set levels."""
    kept = [(logger, logger.level) for logger in map(logging.getLogger, ("", "maintenancebot", "paramiko"))]
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers = handlers
    for logger, level in kept:
        logger.setLevel(level)


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Programs of ours that are called in the test's own process set it for good."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "config.yaml", tmp_path / "hosts.yaml", tmp_path / "state")


@pytest.fixture
def boxes(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Box]:
    """Two small hosts with old logs, and a controller whose clock is theirs."""
    if not can_make_boxes():
        pytest.skip("makes small hosts as root")
    made = {name: Box(tmp_path / "boxes", name, digit * 32) for name, digit in (("web-1", "a"), ("web-2", "b"))}
    for box in made.values():
        box.write("1.log", "2.log", "3.log")

    class Connections:
        """Sessions to the boxes."""

        def __init__(self, *_: object) -> None:
            pass

        def connect(self, host: Host) -> LocalSession:
            return made[host.name].session()

        def close(self) -> None:
            pass

    monkeypatch.setattr(app.context, "Connections", Connections)
    set_clock(monkeypatch, clock)
    place.configure(cleanup())
    place.list_hosts(*made)
    return made


@pytest.fixture
def box(boxes: dict[str, Box], place: Place) -> Box:
    place.list_hosts("web-1")
    return boxes["web-1"]


@pytest.fixture
def disk(box: Box, place: Place) -> Iterator[Disk]:
    """A disk of the small host, 95 % full: half of it old logs that compress well, half of it nobody's to touch."""
    if not shutil.which("mkfs.ext4"):
        pytest.skip("makes file systems")
    made = make_disk(box.base / "disk", size_mib=64)
    (made.mount_point / ".maintenancebot").mkdir(mode=0o700)  # so that other tests' boxes hide it from themselves
    (made.mount_point / "logs").mkdir()
    (made.mount_point / "db").mkdir()
    for number in range(10):
        (made.mount_point / "logs" / f"{number}.log").write_bytes(b"a line of a log\n" * (2 * 2**20 // 16))
    made.fill(int(3.2 * 2**20), "db/table")
    subprocess.run(["sync", "-f", made.mount_point], check=True)  # else its figures still move while they are compared
    configure(place, made)
    yield made
    subprocess.run(["umount", "-l", made.mount_point], check=True)
