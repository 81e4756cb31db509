"""Small real file systems for hosts, with files that are old in every respect: mtime, atime, ctime and birth."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.tools import LabError, run, wait_until

if TYPE_CHECKING:
    from tests.lab.hosts import LabHost

Name = str | bytes
Files = Mapping[Name, tuple[bytes, float]]  # relative path: (content, age in days)
Ages = Mapping[Name, float]  # relative path: age in days
DAY = 86400


@dataclass
class Disk:
    """An ext4 file system in an image file, mounted on this machine."""

    image: Path
    mount_point: Path

    def mount(self) -> Disk:
        """Mount it, if it is not."""
        if not os.path.ismount(self.mount_point):
            self.mount_point.mkdir(parents=True, exist_ok=True)
            run(["mount", "-o", "loop", self.image, self.mount_point])
        return self

    def unmount(self) -> None:
        """Unmount it; fails while a running host has it bound."""
        if os.path.ismount(self.mount_point):
            run(["umount", self.mount_point])

    def path(self, name: Name) -> bytes:
        """The path here of a file on the disk."""
        return os.path.join(os.fsencode(self.mount_point), os.fsencode(name).lstrip(b"/"))

    def write(self, files: Files) -> None:
        """Write files and make them as old as wanted."""
        for name, (content, _) in files.items():
            _write(self.path(name), content)
        self.age({name: age for name, (_, age) in files.items()})

    def age(self, ages: Ages) -> None:
        """Set all four times of existing files or directories; links themselves, not their targets."""
        self.mount()
        now = time.time()
        times = {os.lstat(self.path(name)).st_ino: int(now - age * DAY) for name, age in ages.items()}
        # A process that has just been given mounts of its own has this one too, for as long as it lives, and the kernel
        # goes on by the times that it knows.
        if times:
            wait_until(lambda: self._has(times, next(iter(ages))), "the disk to be let go of by everybody", 60)

    def _has(self, times: Mapping[int, int], name: Name) -> bool:
        """Write the times onto the disk; whether they are seen then, as one file's tell."""
        self.unmount()
        set_times(self.image, times)
        self.mount()
        seen = os.lstat(self.path(name))
        return int(seen.st_ctime) == times[seen.st_ino]

    def free_bytes(self) -> int:
        """What an ordinary user could still write."""
        facts = os.statvfs(self.mount_point)
        return facts.f_bavail * facts.f_frsize

    def fill(self, leave_bytes: int, name: Name = "filler") -> None:
        """Write one fresh file that leaves about this much free."""
        size = self.free_bytes() - leave_bytes
        if size < 0:
            raise LabError(f"only {self.free_bytes()} bytes are free")
        with open(self.path(name), "ab") as filler:
            os.posix_fallocate(filler.fileno(), filler.tell(), size)


def make_disk(
    directory: Path,
    files: Files | None = None,
    *,
    size_mib: int = 64,
    populate: Callable[[Path], Ages | None] | None = None,
    reserved_percent: int = 0,
    inodes: int | None = None,
) -> Disk:
    """A mounted disk with files of wanted ages; `populate` may add what `files` cannot say and return ages for it."""
    directory.mkdir(parents=True, exist_ok=True)
    disk = Disk(directory / "disk.img", directory / "mount")
    with disk.image.open("wb") as image:
        image.truncate(size_mib << 20)
    count = ["-N", str(inodes)] if inodes else []
    run(["mkfs.ext4", "-q", "-F", "-m", str(reserved_percent), "-E", "lazy_itable_init=0", *count, disk.image])
    disk.mount()
    files = files or {}
    for name, (content, _) in files.items():
        _write(disk.path(name), content)
    ages = {name: age for name, (_, age) in files.items()}
    disk.age({**ages, **((populate(disk.mount_point) if populate else None) or {})})
    return disk


def add_disk(host: LabHost, target: str, files: Files | None = None, **options: object) -> Disk:
    """A disk bound into a host at `target`; it goes when the host is destroyed."""
    number = len(list(host.directory.glob("disks/*")))
    disk = make_disk(host.directory / "disks" / str(number), files, **options)  # type: ignore[arg-type]
    host.bind(disk.mount_point, target)
    return disk


def set_times(image: Path, times: Mapping[int, int]) -> None:
    """Set all times of inodes in an unmounted image; inode numbers spare us the quoting of odd names."""
    commands = (
        f"set_inode_field <{inode}> {field} @{seconds}\n"
        for inode, seconds in times.items()
        for field in ("mtime", "atime", "ctime", "crtime")
    )
    done = run(["debugfs", "-w", "-f", "/dev/stdin", image], stdin="".join(commands))
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("debugfs ")]
    if complaints:
        raise LabError(f"debugfs: {complaints[0]}")


def _write(path: bytes, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as handle:
        handle.write(content)
