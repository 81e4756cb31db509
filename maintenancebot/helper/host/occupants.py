"""What uses a file system: its heaviest folders and files, deleted files that are still open, and known stores.

Stays on the mount, counts a file with several names once, and ends in bounded time and memory: what was not seen by
then is said to be partial.
"""

import errno
import heapq
import json
import os
import stat
import time

from .. import frames
from ..files import walk
from . import facts, usage

SECONDS = 20
TOP = 10
SHARE = 50
"""A folder is remembered when it holds more than one part in so many of what is used."""

NAMES_KEPT = 100000
"""Files with several names that are remembered, so that each counts once."""

PLACES = (
    ("docker", b"/var/lib/docker"),
    ("containerd", b"/var/lib/containerd"),
    ("journal", b"/var/log/journal"),
    ("package_cache", b"/var/cache/apt/archives"),
    ("package_cache", b"/var/cache/dnf"),
    ("package_cache", b"/var/cache/zypp/packages"),
    ("trash", b"/var/lib/maintenancebot/trash"),
)
"""What has a method of its own, and where it usually lies."""


def look(fd, path, out):
    """Stream findings of the mount that `fd` is open on; facts are whether all was seen."""
    told = os.fstatvfs(fd)
    tree = Tree(path, (told.f_blocks - told.f_bfree) * told.f_frsize, out.alive)
    tree.walk(fd)
    for size, name in tree.heaviest():
        out.finding("directory", frames.text(name), bytes=size)
    for size, name in sorted(tree.files, reverse=True):
        out.finding("file", frames.text(name), bytes=size)
    for name, size in sorted(tree.places.items()):
        out.finding("place", frames.text(name), name=tree.wanted[name], bytes=size)
    for row in deleted_open(os.fstat(fd).st_dev):
        out.finding("deleted_open", row.pop("path"), **row)
    return {"partial": tree.partial}


def deleted_open(device):
    """Deleted files of a device that processes hold open, the largest first: dictionaries with path and bytes."""
    found = usage.Users().scan().deleted_open
    rows = [dict(row) for row in found if row.pop("dev", device) == device]
    return sorted(rows, key=lambda row: -row["bytes"])[:TOP]


class Tree:
    """One walk over a mount; `files` are the largest, as (bytes, path)."""

    def __init__(self, path, used, alive):
        self.files = []
        self.places = {}
        self.wanted = {name: kind for kind, name in (*PLACES, *_data_root(), *_own(path))}
        self.partial = False
        self._path = path
        self._heavy = []
        self._least = used // SHARE
        self._alive = alive
        self._seen = set()
        self._mountpoints = frozenset(row["path"] for row in facts.mount_table())
        self._end = time.monotonic() + SECONDS
        self._speak = time.monotonic() + walk.ALIVE_SECONDS

    def walk(self, fd):
        """Sum up all below an open folder, which stays open."""
        self._device = os.fstat(fd).st_dev
        stack = [_Level(os.dup(fd), self._path)]
        try:
            while stack:
                level = stack[-1]
                if level.folders is None:
                    self._read(level)
                inner = self._below(level, len(stack))
                if inner is not None:
                    stack.append(inner)
                elif not level.folders:
                    self._leave(stack)
        finally:
            for level in stack:
                os.close(level.fd)

    def heaviest(self):
        """(bytes, path) of the folders that hold most; one whose bytes lie nearly all in one below is left out."""
        names = {name: size for size, name in self._heavy}
        for size, name in self._heavy:
            above = os.path.dirname(name)
            if names.get(above) and size * 5 >= names[above] * 4:
                names[above] = 0
        rows = sorted(((size, name) for name, size in names.items() if size), reverse=True)
        return [row for row in rows if row[1] != self._path or len(rows) == 1][:TOP]

    def _read(self, level):
        level.folders = []
        try:
            for name in walk.names(level.fd):
                if self._is_over():
                    return
                self._entry(level, name)
        except OSError:
            self.partial = True

    def _entry(self, level, name):
        try:
            found = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
        except OSError:
            return  # gone while we looked
        if found.st_dev != self._device:
            return
        size = found.st_blocks * 512
        if stat.S_ISDIR(found.st_mode):
            level.folders.append(name)
            return
        if found.st_nlink > 1 and not self._first(found.st_ino):
            return
        level.bytes += size
        if size >= self._least // 10:
            row = (size, os.path.join(level.path, name))
            (heapq.heappush if len(self.files) < TOP else heapq.heappushpop)(self.files, row)

    def _first(self, inode):
        if inode in self._seen:
            return False
        if len(self._seen) < NAMES_KEPT:
            self._seen.add(inode)
        else:
            self.partial = True
        return True

    def _below(self, level, depth):
        """The next folder below, opened; None when it is not entered, or there is none."""
        if not level.folders:
            return None
        path = os.path.join(level.path, level.folders.pop())
        if self._is_over() or path in self._mountpoints:
            return None
        if depth >= walk.MAX_DEPTH:
            self.partial = True
            return None
        try:
            fd = walk.open_folder(os.path.basename(path), level.fd)
        except OSError as error:
            self.partial = self.partial or error.errno != errno.ENOENT
            return None
        found = os.fstat(fd)
        if found.st_dev != self._device:
            os.close(fd)
            return None
        return _Level(fd, path, found.st_blocks * 512)

    def _leave(self, stack):
        level = stack.pop()
        os.close(level.fd)
        if stack:
            stack[-1].bytes += level.bytes
        if level.path in self.wanted:
            self.places[level.path] = level.bytes
        if level.bytes > self._least:
            self._heavy.append((level.bytes, level.path))

    def _is_over(self):
        now = time.monotonic()
        if now > self._speak:
            self._alive("looking at what uses the space")
            self._speak = now + walk.ALIVE_SECONDS
        if now > self._end:
            self.partial = True
        return now > self._end


class _Level:
    """An open folder of the walk; `folders` is None until it was read."""

    __slots__ = ("bytes", "fd", "folders", "path")

    def __init__(self, fd, path, size=0):
        self.fd = fd
        self.path = path
        self.bytes = size
        self.folders = None


def _data_root():
    """Docker's data root, where its configuration names another one."""
    try:
        with open("/etc/docker/daemon.json", "rb") as stream:
            path = json.loads(stream.read(1024 * 1024).decode("utf-8")).get("data-root")
    except (OSError, ValueError, AttributeError):
        return ()
    return (("docker", frames.raw(path.rstrip("/"))),) if isinstance(path, str) and path.startswith("/") else ()


def _own(mount):
    """Our own trash on a mount: what lies there is given back by a restore or a purge, not found by surprise."""
    return (("trash", os.path.join(mount, b".maintenancebot", b"trash")),)
