"""Proof that nothing was written on a host: a manifest of its whole tree before and after, and an inotify watch."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Self

from tests.lab.hosts import LabHost
from tests.lab.tools import LabError

KERNEL_TREES = ("/proc", "/sys", "/dev", "/run")
LOGIN_TRACES = re.compile(
    r"/var/log/(wtmp|btmp|lastlog|auth\.log|journal(/.*)?)"  # who was here, and what sshd and sudo said of it
    r"|/var/lib/(lastlog|wtmpdb)(/.*)?"  # the same since Debian 13
)
HASHED_TREES = ("/etc", "/home", "/opt", "/root", "/srv", "/tmp", "/usr/local", "/var")
HASHED_BYTES = 64 * 1024

IN_MODIFY, IN_ATTRIB, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
IN_Q_OVERFLOW, IN_IGNORED, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_ONLYDIR = 0x4000, 0x8000, 0x2000000, 0x4000000, 0x1000000
WRITES = {
    IN_MODIFY: "modified", IN_ATTRIB: "attributes", IN_MOVED_FROM: "moved away", IN_MOVED_TO: "moved here",
    IN_CREATE: "created", IN_DELETE: "deleted",
}  # fmt: skip
EVENT = struct.Struct("iIII")

libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Entry:
    """What is remembered of one file; access times are left out, as every reader changes them."""

    mode: int
    owner: int
    group: int
    size: int
    links: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    content: str  # link target or hash of small files


Manifest = dict[str, Entry]


def manifest(host: LabHost, below: str = "/", hashed: bool = True) -> Manifest:
    """Every file of a running host as its own processes see it, bound disks and /tmp included."""
    root = str(host.live_root)
    return {path: _entry(root, path, facts, hashed) for path, facts in _walk(root, below)}


def differences(before: Manifest, after: Manifest, allowed: re.Pattern[str] = LOGIN_TRACES) -> list[str]:
    """What changed between two manifests, one sentence each, without the traces any login leaves."""
    said = []
    for path in sorted(before.keys() | after.keys()):
        if allowed.fullmatch(path) or _is_kernel_tree(path):
            continue
        if path not in after:
            said.append(f"{path!r} is gone")
        elif path not in before:
            said.append(f"{path!r} is new")
        elif before[path] != after[path]:
            said.append(f"{path!r} changed: {_changes(before[path], after[path])}")
    return said


class Watch:
    """Hears every write in a host's tree while it is open: `with Watch(host) as watch: …; watch.events()`."""

    def __init__(self, host: LabHost, below: str = "/", allowed: re.Pattern[str] = LOGIN_TRACES) -> None:
        self._host = host
        self._below = below
        self._allowed = allowed
        self._paths: dict[int, str] = {}
        self._fd = -1
        self._heard: list[str] = []

    def __enter__(self) -> Self:
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise LabError(f"inotify: {os.strerror(ctypes.get_errno())}")
        root = str(self._host.live_root)
        self._add(root, self._below)
        for path, facts in _walk(root, self._below):
            if stat.S_ISDIR(facts.st_mode):
                self._add(root, path)
        return self

    def __exit__(self, *raised: object) -> None:
        os.close(self._fd)

    def events(self) -> list[str]:
        """All writes heard so far, one sentence each; raises LabError when the kernel lost some."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 20):
                self._heard += [sentence for sentence in self._sentences(data) if sentence]
        return self._heard

    def _add(self, root: str, path: str) -> None:
        mask = sum(WRITES) | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK
        number = libc.inotify_add_watch(self._fd, os.fsencode(root + path), mask)
        if number >= 0:
            self._paths[number] = path.rstrip("/")
        elif ctypes.get_errno() not in (2, 20):  # vanished meanwhile
            raise LabError(f"inotify on {path}: {os.strerror(ctypes.get_errno())}")

    def _sentences(self, data: bytes) -> Iterator[str]:
        offset = 0
        while offset < len(data):
            number, mask, _, length = EVENT.unpack_from(data, offset)
            name = os.fsdecode(data[offset + EVENT.size : offset + EVENT.size + length].rstrip(b"\0"))
            offset += EVENT.size + length
            if mask & IN_Q_OVERFLOW:
                raise LabError("inotify lost events: watch less, or read sooner")
            yield self._sentence(number, mask, name)

    def _sentence(self, number: int, mask: int, name: str) -> str:
        path = self._paths.get(number, "?") + (f"/{name}" if name else "")
        kinds = [word for bit, word in WRITES.items() if mask & bit]
        return f"{path or '/'!r} {', '.join(kinds)}" if kinds and not self._allowed.fullmatch(path) else ""


def _walk(root: str, below: str) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [below.rstrip("/")]
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(root + directory + "/") as found:
                names = [item.name for item in found]
        except FileNotFoundError:
            continue
        for name in names:
            path = f"{directory}/{name}"
            if path in KERNEL_TREES:
                continue
            with contextlib.suppress(FileNotFoundError):
                facts = os.lstat(root + path)
                if stat.S_ISDIR(facts.st_mode):
                    waiting.append(path)
                yield path, facts


def _entry(root: str, path: str, facts: os.stat_result, hashed: bool) -> Entry:
    content = _content(root + path, path, facts) if hashed else ""
    links = 0 if stat.S_ISDIR(facts.st_mode) else facts.st_nlink
    return Entry(
        facts.st_mode, facts.st_uid, facts.st_gid, facts.st_size, links, facts.st_mtime_ns, facts.st_ctime_ns,
        facts.st_ino, facts.st_rdev, content,
    )  # fmt: skip


def _content(place: str, path: str, facts: os.stat_result) -> str:
    with contextlib.suppress(OSError):
        if stat.S_ISLNK(facts.st_mode):
            return os.readlink(place)
        if stat.S_ISREG(facts.st_mode) and facts.st_size <= HASHED_BYTES and path.startswith(HASHED_TREES):
            with open(os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NOATIME), "rb") as handle:
                return hashlib.blake2b(handle.read(), digest_size=16).hexdigest()
    return ""


def _changes(before: Entry, after: Entry) -> str:
    pairs = ((one.name, getattr(before, one.name), getattr(after, one.name)) for one in fields(Entry))
    return ", ".join(f"{name} {old!r} -> {new!r}" for name, old, new in pairs if old != new)


def _is_kernel_tree(path: str) -> bool:
    return any(path == tree or path.startswith(tree + "/") for tree in KERNEL_TREES)
