"""Copies that are the file again: bytes with holes, owner, mode, attributes, access lists, times; then compared."""

import base64
import errno
import hashlib
import os

from ..pulse import Pulse
from . import fresh, inodes, walk

CHUNK = 1024 * 1024
DRESSED = ("size", "mtime_ns", "mode", "uid", "gid")
NOT_KEPT = frozenset(["security.evm"])
"""A signature of the kernel over the inode itself; no copy can have the same."""


def copy(source, target, out):
    """Copy an open file into an empty one, holes as holes. Returns the SHA-256 of all its bytes.

    Raises Refused when the file changed meanwhile.
    """
    before, digest, pulse = os.fstat(source), hashlib.sha256(), Pulse(out, "copying")
    os.ftruncate(target, before.st_size)
    position = 0
    for start, end in extents(source, before.st_size):
        _hash_zeros(digest, start - position, pulse)
        _copy_range(source, target, start, end, digest, pulse)
        position = end
    _hash_zeros(digest, before.st_size - position, pulse)
    os.fsync(target)
    same(before, os.fstat(source))
    return digest.hexdigest()


def digest(fd, out):
    """The SHA-256 of an open file, read from the disk where the kernel lets go of what it remembers."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    found, pulse = hashlib.sha256(), Pulse(out, "comparing")
    os.lseek(fd, 0, os.SEEK_SET)
    while True:
        data = os.read(fd, CHUNK)
        if not data:
            return found.hexdigest()
        found.update(data)
        pulse.beat()


def same(before, after):
    """Raise Refused when a file changed between two looks."""
    fields = ("st_size", "st_mtime_ns", "st_ctime_ns")
    if any(getattr(before, field) != getattr(after, field) for field in fields):
        raise walk.Refused("changed_since", "the file changed while it was copied")


def attributes(where):
    """All extended attributes of a file as text for a record: name -> base64. `where` may be a path of a link."""
    follow = {} if isinstance(where, int) else {"follow_symlinks": False}
    try:
        names = [name for name in os.listxattr(where, **follow) if name not in NOT_KEPT]
        return {name: base64.b64encode(os.getxattr(where, name, **follow)).decode("ascii") for name in names}
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return {}
        raise


def dress(fd, record):
    """Give a copy owner, attributes, mode and times of its record, on the disk. Raises Refused if it takes one not.

    Owner first: a change of it takes bits of the mode and capabilities away.
    """
    identity, wanted = record["identity"], record["attributes"]
    os.fchown(fd, identity["uid"], identity["gid"])
    for name in set(attributes(fd)) - set(wanted):
        os.removexattr(fd, name)
    for name, value in wanted.items():
        _set(fd, name, base64.b64decode(value))
    os.fchmod(fd, identity["mode"] & 0o7777)
    os.utime(fd, ns=(record["atime_ns"], identity["mtime_ns"]))
    os.fsync(fd)
    found = inodes.values(os.fstat(fd))
    missing = [field for field in DRESSED if found[field] != identity[field]]
    if missing or attributes(fd) != wanted:
        raise walk.Refused(
            "write_error", "this file system does not keep the file's %s" % ", ".join(missing or ["attributes"])
        )


def _set(fd, name, value):
    try:
        os.setxattr(fd, name, value)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise walk.Refused("no_space", "no room for the attribute %s" % name) from error
        raise walk.Refused("write_error", "the attribute %s cannot be kept: %s" % (name, error.strerror)) from error


def extents(fd, size):
    """The (start, end) of what is no hole."""
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            if error.errno != errno.EINVAL:
                raise
            yield position, size
            return
        position = min(size, os.lseek(fd, start, os.SEEK_HOLE))
        yield start, position


def _copy_range(source, target, start, end, digest, pulse):
    os.lseek(source, start, os.SEEK_SET)
    os.lseek(target, start, os.SEEK_SET)
    left = end - start
    while left:
        data = os.read(source, min(CHUNK, left))
        if not data:
            raise walk.Refused("changed_since", "the file became shorter while it was copied")
        digest.update(data)
        fresh.write_all(target, data)
        left -= len(data)
        pulse.beat()


def _hash_zeros(digest, count, pulse):
    zeros = bytes(bytearray(min(count, CHUNK)))
    while count:
        part = min(count, CHUNK)
        digest.update(zeros[:part])
        count -= part
        pulse.beat()
