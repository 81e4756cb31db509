"""Space that deleted files still take, since a process has them open or mapped. Told, never touched."""

import stat

from .. import frames
from . import facts

MOST = 10000
"""Files that are remembered; on a host with more the figures are too small."""
MEMORY = frozenset(["tmpfs", "ramfs", "devtmpfs", "hugetlbfs"])
SUFFIX = b" (deleted)"


class Deleted:
    """The deleted files that a look at all processes comes upon; each once, whoever has it open."""

    def __init__(self):
        self._files = {}  # key -> row
        self._last = {}  # key -> the process that was counted last
        self._by_dev = {}
        self._by_id = {}
        for row in facts.mount_table():
            if row["type"] not in facts.PSEUDO and row["type"] not in MEMORY:
                self._by_dev.setdefault(row["dev"], row["path"])
                self._by_id[row["id"]] = row["path"]

    def add(self, key, pid, target, found, number=""):
        """One process has it: `target` as /proc shows it, `number` of its descriptor.

        Memory files, shared memory and what lies on a tmpfs take no space of a disk: they are on none of the mounts.
        """
        if key in self._files:
            self.again(key, pid)
        elif stat.S_ISREG(found.st_mode) and found.st_blocks and len(self._files) < MOST:
            mount = self._by_dev.get(found.st_dev) or self._by_id.get(_mount_id(pid, number))
            if mount is not None:
                self._files[key] = _row(pid, target, found, mount)
                self._last[key] = pid

    def again(self, key, pid):
        """A process has a file that may be known already; the processes come one after the other."""
        if key in self._files and self._last[key] != pid:
            self._files[key]["processes"] += 1
            self._last[key] = pid

    def rows(self):
        """{"pid", "process", "processes", "path", "bytes", "dev", "mount"} of each, the largest first."""
        return sorted(self._files.values(), key=lambda row: (-row["bytes"], row["path"]))


def totals(rows):
    """{"mount", "dev", "bytes", "files"} of each file system, the largest first."""
    found = {}
    for row in rows:
        total = found.setdefault(row["dev"], {"mount": row["mount"], "dev": row["dev"], "bytes": 0, "files": 0})
        total["bytes"] += row["bytes"]
        total["files"] += 1
    return sorted(found.values(), key=lambda total: -total["bytes"])


def process(pid):
    """The name of a process, an empty string when it is gone."""
    return facts.read_line("/proc/%s/comm" % pid)


def _row(pid, target, found, mount):
    path = target[: -len(SUFFIX)] if target.endswith(SUFFIX) else target
    return {
        "pid": int(pid),
        "process": process(pid),
        "processes": 1,
        "path": frames.text(path),
        "bytes": found.st_blocks * 512,
        "dev": found.st_dev,
        "mount": frames.text(mount),
    }


def _mount_id(pid, number):
    """Of a descriptor of another process: where the device number is told differently, as on btrfs, this helps."""
    try:
        with open("/proc/%s/fdinfo/%s" % (pid, number), "rb") as stream:
            for line in stream:
                if line.startswith(b"mnt_id:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return None
