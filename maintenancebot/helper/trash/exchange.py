"""Replaces a file in one instant: its new version is made in an item of the trash, then both change places.

Killed anywhere, the name stands for the old file or for the new one, whole, and the item holds the other. An item
that holds what never took its place, or has lost it again, goes away; one that holds the replaced file stays.
"""

import errno
import os

from .. import frames
from ..files import globs, inodes, renames, walk
from . import manifest, trash
from .item import BYTES

UNKNOWN = {"ino": 0, "size": 0, "mtime_ns": 0}
"""Of a candidate that is not complete, and has never been anywhere else."""


class Exchange:
    """A candidate, complete and on the disk, beside the file of `source` that it is to replace; close it."""

    def __init__(self, source, change, args, write):
        self._source = source
        self.item = trash.new_item(source, change, args, candidate=UNKNOWN)
        try:
            fd = os.open(BYTES, manifest.WRITE, 0o600, dir_fd=self.item.fd)
            try:
                write(fd)
                os.fsync(fd)
                self._made = known(os.fstat(fd))
            finally:
                os.close(fd)
            self.item.save(candidate=self._made)
            os.fsync(self.item.fd)
        except BaseException:
            self.close()
            raise

    def undo(self):
        """What `back` needs to know, in another process too."""
        return {"item": self.item.id, "path": self._source.expected["path"], "installed": self._made}

    def make(self):
        """Let both change places. Raises Refused, or OSError, with the file in its place as it was."""
        source, item = self._source, self.item
        source.must_be_same()
        source.must_be_idle()
        source.must_be_here()
        try:
            renames.exchange(item.fd, BYTES, source.folder, source.name)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            raise walk.Refused("lacks", "kernel, file system or python3 cannot let files change places") from error
        try:
            inodes.check(item.held(), source.expected, inodes.MOVED)
        except walk.Refused:
            renames.exchange(item.fd, BYTES, source.folder, source.name)
            raise
        _sync(item, source.folder)
        _keep(item)

    def close(self):
        """Let go; a candidate that has not taken its place goes away."""
        try:
            if self.item.state() == "nothing":
                self.item.drop()
        finally:
            self.item.close()
            self.item.store.close()


def back(item, path, installed):
    """Give a replaced file its place again; nothing to do when it has it, or has never lost it.

    Raises Refused when somebody has put another file there since: his stays, and the old one stays in the trash.
    """
    item.unsettle()
    if item.held() is not None and not item.holds_candidate():
        _into_place(item, path, installed)
    _settle(item)


def _into_place(item, path, installed):
    parts = [frames.raw(part) for part in globs.components(path)]
    folder, _ = walk.descend(parts[:-1], len(parts) - 1)
    try:
        there = _look(folder, parts[-1])
        if there is None:
            renames.give(item.fd, BYTES, folder, parts[-1])
        elif there.st_ino == installed["ino"]:
            _exchange_back(item, folder, parts[-1], installed)
        else:
            item.settle()
            raise walk.Refused("changed_since", "another file lies there now; the old one is %s in the trash" % item.id)
        _sync(item, folder)
    finally:
        os.close(folder)


def _exchange_back(item, folder, name, installed):
    item.note(state="intent", candidate=installed)
    renames.exchange(item.fd, BYTES, folder, name)
    if item.held().st_ino != installed["ino"]:
        renames.exchange(item.fd, BYTES, folder, name)
        _keep(item)
        raise walk.Refused("changed_since", "it was replaced in this very moment; %s keeps the old one" % item.id)


def _settle(item):
    """Ours goes away, and what somebody has written into ours since stays."""
    if item.held() is None:
        item.discard()
    elif item.holds_candidate():
        item.drop()
    else:
        _keep(item)


def known(made):
    """What tells a file of ours from one that somebody wrote to, of a stat result."""
    return {"ino": made.st_ino, "size": made.st_size, "mtime_ns": made.st_mtime_ns}


def _keep(item):
    try:
        item.save(state="held", candidate=None, identity=inodes.values(item.held()))
        item.settle()
    except OSError:
        pass  # the disk may just have become full; bytes beside an intent are held as well


def _sync(item, folder):
    os.fsync(item.fd)
    os.fsync(folder)


def _look(folder, name):
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
