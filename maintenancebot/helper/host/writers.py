"""Which processes have a file open for writing, and which unit of systemd they belong to."""

import fcntl
import os
import re

from .. import frames
from . import facts, usage

UNIT = re.compile(r"/([^/]+\.service)(?:/|$)")


class Writer:
    """A process."""

    def __init__(self, pid):
        self.pid = int(pid)
        self.name = facts.read_line("/proc/%s/comm" % pid)
        self.unit = _unit(pid)

    def __str__(self):
        return "%s (%d)" % (self.name, self.pid)


def of(key):
    """The processes that have the file of that (device, inode) open for writing."""
    return among([key]).get(key, [])


def among(keys):
    """{(device, inode): processes} of those files that are open for writing, by one look at all processes."""
    wanted, avoid, found = frozenset(keys), usage.shared_mounts(), {}
    for pid in os.listdir("/proc") if wanted else ():
        for key in _written(pid, wanted, avoid) if pid.isdigit() else ():
            found.setdefault(key, []).append(Writer(pid))
    return found


def unseen(fd):
    """Whether the kernel knows of a writer of the open file `fd`; a read lease is granted only without one."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False  # not on this file system
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _written(pid, wanted, avoid):
    """Which of the wanted files a process has open for writing."""
    try:
        numbers = os.listdir("/proc/%s/fd" % pid)
    except OSError:
        return set()
    return {_written_by(pid, number, wanted, avoid) for number in numbers} - {None}


def _written_by(pid, number, wanted, avoid):
    link = "/proc/%s/fd/%s" % (pid, number)
    try:
        if not usage.is_local_path(os.fsencode(os.readlink(link)), avoid):
            return None
        found = os.stat(link)
        key = (found.st_dev, found.st_ino)
        return key if key in wanted and _flags(pid, number) & os.O_ACCMODE != os.O_RDONLY else None
    except OSError:
        return None


def _flags(pid, number):
    with open("/proc/%s/fdinfo/%s" % (pid, number), "rb") as stream:
        for line in stream:
            if line.startswith(b"flags:"):
                return int(line.split()[1], 8)
    return os.O_RDWR


def _unit(pid):
    try:
        with open("/proc/%s/cgroup" % pid, "rb") as stream:
            lines = frames.text(stream.read(65536)).splitlines()
    except OSError:
        return ""
    for line in lines:
        number, _, rest = line.partition(":")
        if number == "0" or rest.startswith("name=systemd:"):
            found = UNIT.search(rest)
            if found:
                return found.group(1)
    return ""
