"""Ends a piece of work as kill -9 does: before the Nth call that changes something, or at any moment."""

import os
import random
import signal
import time
from collections.abc import Callable

from maintenancebot.helper.files import renames

CALLS = (
    "open",
    "mkdir",
    "rmdir",
    "link",
    "symlink",
    "unlink",
    "rename",
    "write",
    "fsync",
    "fchmod",
    "fchown",
    "chown",
    "ftruncate",
    "utime",
    "setxattr",
    "removexattr",
)
Work = Callable[[], object]


def killed_at(number: int, work: Work, plain: bool = False) -> bool:
    """Do the work in a child that dies at its call of that number; False when it came to its end before.

    `plain` takes from it what not all kernels and file systems have: renames that refuse to replace, nameless files.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            if plain:
                _make_plain()
            _arm(number)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work itself failed"
    return os.WIFSIGNALED(status)


def killed_within(seconds: float, work: Work, chance: random.Random) -> bool:
    """Do the work in a child that is killed at a random moment of that time."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    time.sleep(chance.uniform(0, seconds))
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work itself failed"
    return os.WIFSIGNALED(status)


def _arm(number: int) -> None:
    left = [number]

    def wrapped(real: Callable, half: bool = False) -> Callable:
        def call(*args, **more):
            left[0] -= _changes(real, args)
            if left[0] == 0 and _changes(real, args):
                if half:  # a write may have been half done
                    real(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)

        return call

    _OPEN.append(os.open)
    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name), name == "write"))
    renames._renameat2 = wrapped(renames._renameat2)


def _changes(real: Callable, args: tuple) -> bool:
    """An open only looks, unless it makes a file."""
    makes = os.O_CREAT | (os.O_TMPFILE & ~os.O_DIRECTORY)
    return real not in _OPEN or bool(args[1] & makes)


_OPEN: list[Callable] = []


def _make_plain() -> None:
    real = os.open

    def without_nameless(name, flags, *args, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "not supported")
        return real(name, flags, *args, **more)

    os.open = without_nameless
    renames._renameat2 = lambda *_: False
