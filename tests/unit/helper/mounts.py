"""Real file systems of a few MiB: two disks for one host, so that a copy must cross from one to the other."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDS = (".new", ".tmp", ".gone")
IMAGES = Path("/dev/shm")  # images in memory: a sync of a loop device is then no wait for a disk


@contextmanager
def mounted(where: Path, kind: str = "ext4", mib: int = 24, *options: str) -> Iterator[Path]:
    """A fresh file system at `where`; `options` go to its mkfs, or to mount for a tmpfs."""
    where.mkdir(parents=True, exist_ok=True)
    image = IMAGES / f"{where.name}-{abs(hash(where))}.img"
    if kind == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join([f"size={mib}m", *options]), "tmpfs", where], check=True)
    else:
        with image.open("wb") as stream:
            stream.truncate(mib << 20)
        quiet = ["-q", "-F"] if kind == "ext4" else ["-q", "-f"]
        subprocess.run([f"mkfs.{kind}", *quiet, *options, image], check=True)
        subprocess.run(["mount", "-o", "loop", image, where], check=True)
    try:
        where.chmod(0o755)
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)
        image.unlink(missing_ok=True)


def kinds() -> list[str]:
    """The kinds of file system that can be made here."""
    return [kind for kind in ("ext4", "xfs", "btrfs") if shutil.which(f"mkfs.{kind}")]


def debris(base: Path) -> list[str]:
    """What no finished operation leaves anywhere below: half copies, temporary names, items without bytes."""
    left = []
    for folder, folders, names in os.walk(base):
        if os.path.basename(folder) == "places":
            continue  # a note that was not completed is replaced by the next one
        left += [f"{folder}/{name!r}" for name in names if name.endswith(ENDS) or name.startswith(".maintenancebot-")]
        if os.path.basename(folder) in ("trash", "kept"):
            items = [f"{folder}/{name}" for name in folders if name != "exempt"]
            left += [item for item in items if sorted(os.listdir(item)) != _wanted(Path(item))]
    return left


def _wanted(item: Path) -> list[str]:
    record = item / "manifest.json"
    away = record.exists() and json.loads(record.read_text())["state"] in ("offloaded", "purging")
    return ["manifest.json"] if away else ["item", "manifest.json"]
