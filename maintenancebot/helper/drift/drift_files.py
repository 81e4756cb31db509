"""Declared files: content by hash, mode and owner; looked at by descriptor, never through a link, never waited for."""

import errno
import hashlib
import os
import stat

from .. import frames
from ..files import inodes, walk
from ..host import accounts, facts
from ..pulse import Pulse
from . import held_against

CHUNK = 1 << 20
HASHED = 64 << 20
"""A file that cannot be the declared one, by its size, is hashed up to this size: its hash only tells it apart."""

MAY_NOT_ANSWER = ("autofs", *facts.FOREIGN)


def look(items, out=None):
    """See `drift.LOOKS`."""
    names, quiet = accounts.Names(), places_that_may_not_answer()
    beat = _silent if out is None else Pulse(out, "comparing files").beat
    return [look_at(item["name"], item["wanted"], names, quiet, beat) for item in items]


def _silent():
    """Nobody listens."""


def look_at(path, wanted, names, quiet=(), beat=_silent):
    """One file, held against what is wanted; `beat` is called while it is read."""
    raw = frames.raw(path)
    if is_below(raw, quiet):
        return held_against.unreadable("lies on a file system that another machine or process answers for")
    parts = [part for part in raw.split(b"/") if part]
    try:
        folder, _ = walk.descend(parts[:-1], len(parts))
    except walk.Refused as error:
        return _no_folder(error, path, wanted)
    try:
        return _in_folder(folder, parts[-1], path, wanted, names, beat)
    finally:
        os.close(folder)


def is_below(raw, places):
    """Whether a path (bytes) is one of the places, or lies below one."""
    return any(raw == place or raw.startswith(place + b"/") for place in places)


def _no_folder(error, path, wanted):
    if error.reason == "vanished":
        return held_against.absent(wanted).lies_in(path)
    if error.reason == "symlink":
        place = error.detail.partition(":")[0]
        return held_against.Found(held_against.LINK, error="%s is a link: declare the path that it leads to" % place)
    return held_against.unreadable(error.detail)


def _in_folder(folder, name, path, wanted, names, beat):
    try:
        look = os.open(name, inodes.LOOK, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return held_against.absent(wanted).lies_in(path)
        return held_against.unreadable(error.strerror)
    try:
        return _opened(look, path, wanted, names, beat).lies_in(path, os.fstat(look))
    except walk.Refused as error:
        return held_against.unreadable(error.detail or error.reason)
    except OSError as error:
        return held_against.unreadable(error.strerror)
    finally:
        os.close(look)


def _opened(look, path, wanted, names, beat):
    there = os.fstat(look)
    identity = dict(inodes.values(there), path=path)
    if stat.S_ISLNK(there.st_mode):
        target = frames.text(inodes.target(look))
        return _not_a_file(held_against.LINK, "leads to %s" % target, dict(identity, link=target), wanted)
    if not stat.S_ISREG(there.st_mode):
        return _not_a_file(held_against.SPECIAL, "is a %s" % kind_of(there.st_mode), identity, wanted)
    found = facts_of(there, wanted, names)
    if "sha256" in wanted or held_against.is_unwanted(wanted):
        size = wanted.get("size", there.st_size if "sha256" in wanted else None)
        found["sha256"] = identity["sha256"] = _hash(look, there, size, beat)
    if held_against.is_unwanted(wanted):
        return held_against.unexpected(identity)
    error = "" if there.st_nlink == 1 else "has %d names" % there.st_nlink
    return held_against.compared(wanted, found, identity, error)


def _not_a_file(state, error, identity, wanted):
    if held_against.is_unwanted(wanted):
        return held_against.unexpected(identity, error)
    return held_against.Found(state, {"state": state}, ["state"], identity, error)


def facts_of(there, wanted, names):
    """What there is to be compared of a file without its content."""
    return {
        "state": held_against.PRESENT,
        "size": there.st_size,
        "mode": "%04o" % stat.S_IMODE(there.st_mode),
        "owner": names.user(there.st_uid, wanted.get("owner")),
        "group": names.group(there.st_gid, wanted.get("group")),
    }


def _hash(look, before, size, beat):
    """The hash of a file that holds still; empty for one that is large and has another size than the declared one."""
    if before.st_size > HASHED and before.st_size != size:
        return ""
    fd = inodes.reopen(look)
    try:
        digest = hashlib.sha256()
        for chunk in iter(lambda: os.read(fd, CHUNK), b""):
            digest.update(chunk)
            beat()
        after = os.fstat(fd)
    finally:
        os.close(fd)
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise walk.Refused("changed_since", "it changes while it is read")
    return digest.hexdigest()


def kind_of(mode):
    """What lies in the place of a file, in a word."""
    kinds = ((stat.S_ISDIR, "folder"), (stat.S_ISFIFO, "pipe"), (stat.S_ISSOCK, "socket"))
    return next((word for is_one, word in kinds if is_one(mode)), "device")


def places_that_may_not_answer():
    """Mount points below / whose file systems may hang; one on which the host itself lies has answered already."""
    rows = [row for row in facts.mount_table() if row["type"].startswith(MAY_NOT_ANSWER)]
    return [row["path"] for row in rows if row["path"] != b"/"]
