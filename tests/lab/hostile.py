"""A tree that holds everything that must not go, and a program that swaps its folders and links all the time."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

SWAPPED = 4
FILES = 10
ODD = (b"new\nline.log", b"\xff\xfe.log", b"-rf.log", b"$(id).log", b" .log", b"\x1b[2J.log", b"l" * 251 + b".log")
LEVELS = 200

SWAPPER = """
import ctypes, os, sys, time
base, end = os.fsencode(sys.argv[1]), float(sys.argv[2])
exchange = ctypes.CDLL(None).renameat2
def swap(one, other):
    if exchange(-100, base + one, -100, base + other, 2) != 0:
        raise SystemExit("renameat2 does not work here")
rounds = 0
while time.time() < end:
    for number in range(4):
        swap(b"/swap/dir%d" % number, b"/swap/link%d" % number)
        swap(b"/swap/inner%d/real" % number, b"/swap/inner%d/alias" % number)
        swap(b"/swap/inner%d/file.log" % number, b"/swap/inner%d/file-alias.log" % number)
    rounds += 1
"""
"""Exchanges folders, and files, with links into the victim: python3 SWAPPER TREE END."""


def build(tree: Path, victim: Path, runs: int, many: int, victim_there: str) -> list[bytes]:
    """Make tree and victim, which others see at `victim_there`; the paths of what should be old."""
    for place in _filled(tree, victim):
        place.mkdir(parents=True)
    for folder in open_folders(tree, victim):
        for run in range(runs):
            fill(folder, run)
        os.close(folder)
    for turn in range(SWAPPED):
        swap = tree / "swap"
        (swap / f"link{turn}").symlink_to(victim_there)
        (swap / f"inner{turn}" / "alias").symlink_to(victim_there)
        _write(swap / f"inner{turn}" / "file.log")
        (swap / f"inner{turn}" / "file-alias.log").symlink_to(f"{victim_there}/precious.log")
    _write(victim / "precious.log")
    _odd(tree / "odd", victim, victim_there)
    for number in range(many):
        _write(tree / "many" / str(number // 1000) / f"{number}.txt")
    _deep(tree)
    (tree / "bound").mkdir()
    _write(tree / "bound-file.log")
    return [path for path in _below(os.fsencode(tree)) + _below(os.fsencode(victim)) if _may_go(path)]


def fill(folder: int, run: int) -> None:
    """Make the files of one run in an open folder, wherever that has been swapped to."""
    for number in range(FILES):
        name = f"run{run}-{number}.log"
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640, dir_fd=folder)
        os.write(fd, name.encode() * 5)
        os.close(fd)


def open_folders(tree: Path, victim: Path | None = None) -> list[int]:
    """The folders that `fill` is for, of the tree and of the victim, opened before anybody swaps them."""
    return [os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW) for place in _filled(tree, victim)]


def lock_attributes(tree: Path, sign: str) -> None:
    """Give (`+`) or take (`-`) the attributes of two files."""
    for flag, name in (("i", "immutable.log"), ("a", "append.log")):
        subprocess.run(["chattr", sign + flag, tree / "odd" / name], check=True)


def told(place: Path) -> dict[bytes, tuple[Any, ...]]:
    """All that must not change of what lies below: kind, owner, mode, size, names, times, attributes, content."""
    return {path: _told(path) for path in [os.fsencode(place), *_below(os.fsencode(place))]}


def inodes(place: Path) -> set[int]:
    """The inodes of all regular files below: none may be lost, none may come."""
    return {os.lstat(path).st_ino for path in _below(os.fsencode(place)) if stat.S_ISREG(os.lstat(path).st_mode)}


def _filled(tree: Path, victim: Path | None) -> list[Path]:
    swapped = [tree / "swap" / f"dir{turn}" for turn in range(SWAPPED)]
    inner = [tree / "swap" / f"inner{turn}" / "real" for turn in range(SWAPPED)]
    return [tree / "calm", *swapped, *inner, *([victim] if victim else [])]


def _may_go(path: bytes) -> bool:
    return not os.path.isdir(path) and b"/many/" not in path


def _odd(place: Path, victim: Path, victim_there: str) -> None:
    for name in ODD:
        _write(Path(os.fsdecode(os.path.join(os.fsencode(place), name))))
    for name in ("open", "sticky", "immutable", "append"):
        _write(place / f"{name}.log")
    (place / "sticky.log").chmod(0o1644)
    os.link(victim / "precious.log", place / "hard.log")
    os.mkfifo(place / "fifo.log")
    os.mknod(place / "null.log", 0o020666, os.makedev(1, 3))
    os.mknod(place / "loop.log", 0o060660, os.makedev(7, 250))
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(place, os.O_RDONLY)  # the path may be too long for a socket
        server.bind(f"/proc/self/fd/{here}/socket.log")
        os.close(here)
    for name, target in (("log", "/var/log"), ("etc", "/etc"), ("victim", victim_there), ("self.log", "self.log")):
        (place / name).symlink_to(target)
    (place / "passwd.log").symlink_to("/etc/passwd")


def _deep(tree: Path) -> None:
    place = tree / "deep"
    for _ in range(LEVELS):
        place /= "d"
    _write(place / "run0-deep.log")


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.fsencode(path.name) * 5)


def _below(place: bytes) -> list[bytes]:
    found = []
    for folder, folders, files in os.walk(place):
        found += [os.path.join(folder, name) for name in (*folders, *files)]
    return found


def _told(path: bytes) -> tuple[Any, ...]:
    facts = os.lstat(path)
    content: bytes | str = ""
    if stat.S_ISLNK(facts.st_mode):
        content = os.readlink(path)
    elif stat.S_ISREG(facts.st_mode):
        with open(path, "rb") as stream:
            content = hashlib.sha256(stream.read()).hexdigest()
    attributes = {name: os.getxattr(path, name, follow_symlinks=False) for name in _attributes(path)}
    return (
        *(facts.st_mode, facts.st_uid, facts.st_gid, facts.st_size, facts.st_nlink, facts.st_ino),
        *(facts.st_mtime_ns, facts.st_ctime_ns, content, attributes),
    )


def _attributes(path: bytes) -> list[str]:
    return os.listxattr(path, follow_symlinks=False)
