"""The record beside each item in the trash: written whole or not at all, read with distrust."""

import json
import os
import stat

from ..files import walk
from ..files.fresh import write_all
from . import shape

FORMAT = 2
READ = (1, 2)
"""Formats that are understood: all that the first one has means the same in the second."""
NAME = b"manifest.json"
BESIDE = NAME + b".new"
CAP = 4 * 1024 * 1024
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def save(folder, record):
    """Write the record of an item and wait until it is on the disk."""
    write(folder, NAME, dict(record, format=FORMAT))


def load(folder):
    """The record of an item. Raises Refused when it is not ours alone, damaged, or of another version."""
    record = read(folder, NAME)
    if record.get("format") not in READ:
        raise walk.Refused("unreadable", "record format %r is not one of %s" % (record.get("format"), list(READ)))
    shape.check(record)
    return record


def write(folder, name, record):
    """Write JSON under a name in a private folder: beside it first, then renamed over it; else nothing is left."""
    data = json.dumps(record, sort_keys=True, ensure_ascii=True, indent=1).encode("ascii") + b"\n"
    if len(data) > CAP:
        raise walk.Refused("write_error", "its attributes are too large for a record")
    beside = name + b".new"
    remove(folder, beside)
    fd = os.open(beside, WRITE, 0o600, dir_fd=folder)
    try:
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        remove(folder, beside)
        raise
    os.fsync(folder)


def read(folder, name):
    """JSON of a private folder. Raises Refused."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | walk.O_NOATIME, dir_fd=folder)
    except OSError as error:
        raise walk.Refused(walk.reason_of(error), "no record: %s" % error.strerror) from error
    facts = os.fstat(fd)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
        os.close(fd)
        raise walk.Refused("unreadable", "the record is not a private file of ours")
    with os.fdopen(fd, "rb") as stream:
        try:
            record = json.loads(stream.read(CAP).decode("ascii"))
        except (ValueError, RecursionError) as error:
            raise walk.Refused("unreadable", "damaged record: %s" % error) from error
    if not isinstance(record, dict):
        raise walk.Refused("unreadable", "damaged record")
    return record


def remove(folder, name):
    """Unlink a name that may not be there."""
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        pass
