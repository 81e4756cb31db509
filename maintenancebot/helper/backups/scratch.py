"""A fresh folder for a trial restore: made below a folder of the operator's, marked as ours, removed again."""

import binascii
import errno
import os
import stat

from ..files import walk
from ..frames import text

PREFIX = walk.OWN_PREFIX + b"-trial-"
MARK = b"maintenancebot-trial"
DATA = b"data"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Scratch:
    """An open folder of ours: `fd` of the folder for what is restored, `path` to reach it."""

    def __init__(self, parent_path, parent, name, fd):
        self._parent, self._name, self._own = parent, name, fd
        os.mkdir(DATA, 0o700, dir_fd=fd)
        self.fd = os.open(DATA, FOLDER, dir_fd=fd)
        self.path = os.path.join(os.fsencode(parent_path), name, DATA)

    @property
    def beside(self):
        """Path of the folder itself, for what a tool needs beside what it restores."""
        return os.path.dirname(self.path)

    def remove(self):
        """Remove all that is in it and the folder itself; OSError when something cannot go."""
        os.close(self.fd)
        try:
            empty(self._own)
            if _same(self._parent, self._name, self._own):
                os.rmdir(self._name, dir_fd=self._parent)
        finally:
            os.close(self._own)
            os.close(self._parent)


def open_parent(path):
    """The folder below which trials are made. Raises Refused when others could swap what is made there."""
    try:
        parent = os.open(path, FOLDER)
    except OSError as error:
        raise walk.Refused(walk.reason_of(error), "%s: %s" % (path, error.strerror)) from error
    facts = os.fstat(parent)
    others_write = facts.st_mode & 0o022 and not facts.st_mode & stat.S_ISVTX
    if facts.st_uid != os.geteuid() or others_write:
        os.close(parent)
        raise walk.Refused("not_allowed", "others may rename what is made in %s" % path)
    return parent


def make(path, mark):
    """A fresh 0700 folder with our mark in it; raises Refused or OSError."""
    parent = open_parent(path)
    name = PREFIX + binascii.hexlify(os.urandom(8))
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        fd = os.open(name, FOLDER, dir_fd=parent)
    except OSError:
        os.close(parent)
        raise
    with os.fdopen(os.open(MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=fd), "wb") as stream:
        stream.write(mark.encode("ascii", "replace"))
    return Scratch(path, parent, name, fd)


def leftovers(path):
    """Names and marks of folders that a trial which was broken off has left; reads only."""
    try:
        parent = os.open(path, FOLDER)
    except OSError:
        return []
    try:
        names = sorted(name for name in map(os.fsencode, os.listdir(parent)) if name.startswith(PREFIX))
        return [(name, mark) for name in names for mark in [_mark(parent, name)] if mark is not None]
    finally:
        os.close(parent)


def told(path):
    """Notes on what a trial has left, for the report."""
    if not path:
        return []
    words = "left by a trial restore that was broken off, goes with the next one: %s/%s"
    return [words % (path, text(name)) for name, _ in leftovers(path)]


def clear(path):
    """Remove what earlier trials have left and return its names; OSError when something cannot go."""
    found = [name for name, _ in leftovers(path)]
    parent = open_parent(path)
    try:
        for name in found:
            fd = os.open(name, FOLDER, dir_fd=parent)
            try:
                empty(fd)
                os.rmdir(name, dir_fd=parent)
            finally:
                os.close(fd)
    finally:
        os.close(parent)
    return [text(name) for name in found]


def _mark(parent, name):
    """What stands in the mark of a folder of ours; empty when it has no content yet, None when it is none of ours."""
    try:
        fd = os.open(name, FOLDER, dir_fd=parent)
    except OSError:
        return None
    try:
        facts = os.fstat(fd)
        if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) != 0o700:
            return None
        try:
            mark = os.open(MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=fd)
        except OSError:
            return None if os.listdir(fd) else ""
        with os.fdopen(mark, "rb") as stream:
            return text(stream.read(200))
    finally:
        os.close(fd)


def empty(top):
    """Remove all in an open folder, on its file system alone and never through a link; the mark goes last.

    Folders within folders are brought up first, so that no depth is too deep.
    """
    device = os.fstat(top).st_dev
    while True:
        names = [name for name in map(os.fsencode, os.listdir(top)) if name != MARK]
        if not names:
            break
        for name in names:
            _remove(top, name, device)
    if _is_there(top, MARK):
        os.unlink(MARK, dir_fd=top)


def _remove(top, name, device):
    if not stat.S_ISDIR(os.lstat(name, dir_fd=top).st_mode):
        os.unlink(name, dir_fd=top)
        return
    fd = os.open(name, FOLDER, dir_fd=top)
    try:
        if os.fstat(fd).st_dev != device:
            raise OSError(errno.EXDEV, "another file system is mounted in it")
        for inner in map(os.fsencode, os.listdir(fd)):
            if stat.S_ISDIR(os.lstat(inner, dir_fd=fd).st_mode):
                os.rename(inner, binascii.hexlify(os.urandom(16)), src_dir_fd=fd, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=fd)
        os.rmdir(name, dir_fd=top)
    finally:
        os.close(fd)


def _is_there(folder, name):
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _same(parent, name, fd):
    try:
        found, own = os.lstat(name, dir_fd=parent), os.fstat(fd)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)
