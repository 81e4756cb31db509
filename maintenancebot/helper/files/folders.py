"""Folders of ours: private to root, and where nobody else can move them away."""

import os
import stat

from .. import frames
from . import pins, walk

PRIVATE = 0o700


def private(parent, name):
    """Open a private folder, made if needed; the caller closes it. Raises Refused."""
    fd = _made(parent, name)
    try:
        must_be_private(fd, frames.text(name))
    except BaseException:
        os.close(fd)
        raise
    return fd


def outer(parent, name):
    """The folder of ours in one that belongs to the system: others may look into it, not write. Raises Refused."""
    fd = _made(parent, name)
    found = os.fstat(fd)
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        os.close(fd)
        raise walk.Refused("write_error", "%s belongs to somebody else, or others may write it" % frames.text(name))
    return fd


def must_be_private(fd, name):
    """Raise Refused unless an open folder is root's alone."""
    if not is_private(os.fstat(fd)):
        raise walk.Refused("write_error", "%s in the trash is not ours alone" % name)


def is_private(found):
    """Whether a stat result is of a folder that is ours alone."""
    return found.st_uid == os.geteuid() and not found.st_mode & 0o077


def is_safe(uid, mode):
    """Whether nobody else may rename what we have in a folder of that owner and mode."""
    return uid == os.geteuid() and (not mode & 0o022 or bool(mode & stat.S_ISVTX))


def pinned(base, name, inside):
    """Our folder in one of somebody else, who then cannot rename or remove it; with private folders in it.

    The immutable attribute stops even the owner of the folder around it, and takes root to set or to remove. What
    lies deeper can be written as ever. Returns the descriptor. Raises Refused.
    """
    fd = outer(base, name)
    try:
        if not pins.is_pinned(fd):
            for inner in inside:
                os.close(private(fd, inner))
            _pin(fd)
            if not _lies_there(base, name, fd):
                pins.unpin(fd)
                raise walk.Refused("changed_since", "%s was moved while the trash was made" % frames.text(name))
        return fd
    except BaseException:
        os.close(fd)
        raise


def _pin(fd):
    try:
        pins.pin(fd)
    except OSError as error:
        why = "the top folder of this file system is not root's alone, so others could move the trash away"
        raise walk.Refused("write_error", "no trash here: %s, and it knows no attribute against it" % why) from error


def _lies_there(base, name, fd):
    try:
        found = os.stat(name, dir_fd=base, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(found, os.fstat(fd))


def _made(parent, name):
    try:
        os.mkdir(name, PRIVATE, dir_fd=parent)
        os.fsync(parent)
    except FileExistsError:
        pass
    except OSError as error:
        if not _is_there(parent, name):  # an immutable folder refuses before it looks
            raise walk.Refused(walk.reason_of(error), "the trash cannot be made: %s" % error.strerror) from error
    try:
        return walk.open_folder(name, parent)
    except OSError as error:
        raise walk.Refused(
            "write_error", "%s is not a folder of ours: %s" % (frames.text(name), error.strerror)
        ) from error


def _is_there(parent, name):
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False
    return True
