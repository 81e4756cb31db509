"""Reads small regular files of others whole: no link is followed on the way, nothing else than a file is opened."""

import os
import stat

from .. import frames
from . import inodes, walk

CAP = 1 << 20
LINK, SPECIAL, UNREADABLE = "link", "special", "unreadable"


def read(path, cap=CAP):
    """(stat result, bytes) of the file. Raises FileNotFoundError, or Refused: `link`, `special` or `unreadable`."""
    parts = [part for part in frames.raw(path).split(b"/") if part]
    try:
        folder, _ = walk.descend(parts[:-1], len(parts))
    except walk.Refused as error:
        if error.reason == "vanished":
            raise FileNotFoundError(path) from error
        reason = LINK if error.reason == "symlink" else UNREADABLE
        raise walk.Refused(reason, error.detail) from error
    try:
        return _read(parts[-1], folder, cap)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise walk.Refused(UNREADABLE, error.strerror) from error
    finally:
        os.close(folder)


def _read(name, folder, cap):
    look = os.open(name, inodes.LOOK, dir_fd=folder)
    try:
        there = os.fstat(look)
        if stat.S_ISLNK(there.st_mode):
            raise walk.Refused(LINK, "leads to %s" % frames.text(inodes.target(look)))
        if not stat.S_ISREG(there.st_mode):
            raise walk.Refused(SPECIAL, "is not a regular file")
        if there.st_size > cap:
            raise walk.Refused(UNREADABLE, "larger than %d bytes" % cap)
        with os.fdopen(_opened(look), "rb") as stream:
            return there, stream.read(cap + 1)
    finally:
        os.close(look)


def _opened(look):
    try:
        return inodes.reopen(look)
    except walk.Refused as error:
        raise walk.Refused(UNREADABLE, error.detail) from error
