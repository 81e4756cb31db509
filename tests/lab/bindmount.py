"""Program: bind a path of this machine into the mount namespace of a running host."""

from __future__ import annotations

import argparse
import ctypes
import os
from pathlib import Path

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
OPEN_TREE_CLONE, AT_RECURSIVE, AT_EMPTY_PATH = 1, 0x8000, 0x1000
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY = 1
AT_FDCWD, CLONE_NEWNS = -100, 0x20000

libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Detach a copy of the mount here, enter the host, attach it there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read-only", action="store_true")
    parser.add_argument("pid", type=int)
    parser.add_argument("source", type=Path)
    parser.add_argument("target")
    words = parser.parse_args()
    source = os.fsencode(words.source.resolve())
    tree = _call(OPEN_TREE, AT_FDCWD, source, OPEN_TREE_CLONE | AT_RECURSIVE)
    if words.read_only:
        attributes = (ctypes.c_uint64 * 4)(MOUNT_ATTR_RDONLY, 0, 0, 0)
        _call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | AT_RECURSIVE, attributes, ctypes.sizeof(attributes))
    is_directory = words.source.is_dir()
    _enter(words.pid)
    _make_target(Path(words.target), is_directory)
    _call(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(words.target), MOVE_MOUNT_F_EMPTY_PATH)


def _call(number: int, *arguments: object) -> int:
    answer: int = libc.syscall(number, *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"system call {number}")
    return answer


def _enter(pid: int) -> None:
    namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY)
    if libc.setns(namespace, CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "setns")
    os.chdir("/")


def _make_target(target: Path, is_directory: bool) -> None:
    if is_directory:
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


if __name__ == "__main__":
    main()
