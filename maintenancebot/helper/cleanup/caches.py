"""The cache of packages that apt fetches again: what lies in it, and step `caches.drop`, which removes exactly that."""

import fcntl
import os
import shlex
import stat

from .. import frames
from ..files import globs, walk
from ..host import freed, tools
from ..packages import apt
from ..results import outcome
from ..trash.steps import each

FILES = 2000
"""Files that one plan lists; the next run lists the rest."""

LOCK = "lock"


def look(args, out):
    """Stream a finding `package_cache` when apt holds packages; facts are their number and bytes, or why not."""
    try:
        path = archives(out)
        folder = _open(path, args["protect"])
    except walk.Refused as error:
        return {"reason": error.reason, "detail": error.detail}
    try:
        rows, allocated = packages(folder)
        facts = {"folder": path, "files": len(rows), "bytes": allocated}
        if rows:
            out.finding(
                "package_cache",
                path,
                tool="apt",
                folder=path,
                dev=os.fstat(folder).st_dev,
                files=rows,
                **_size(rows, allocated),
            )
        return facts
    finally:
        os.close(folder)


def _size(rows, allocated):
    return {"size": sum(row[2] for row in rows), "allocated": allocated}


def archives(out):
    """The folder where apt keeps packages, as apt itself says. Raises Refused."""
    try:
        answer = apt.Apt(out).ask("apt-config", "shell", "FOLDER", "Dir::Cache::archives/d")
    except apt.AptError as error:
        other = next((name for name in ("dnf", "zypper") if tools.find(name)), "")
        raise walk.Refused("not_installed", "%s's cache is left alone" % other if other else str(error)) from error
    words = shlex.split(answer.stdout.decode("utf-8", "surrogateescape"))
    if not answer.ok or len(words) != 1 or not words[0].startswith("FOLDER=/"):
        raise walk.Refused("tool_failed", "apt-config: %s" % answer.error())
    return "/" + words[0][len("FOLDER=") :].strip("/")


def packages(folder):
    """([name, inode, size, mtime in ns] of each plain package file, the bytes that they take)."""
    rows, allocated = [], 0
    for name in sorted(walk.names(folder)):
        found = _package(folder, name)
        if found is not None and len(rows) < FILES:
            rows.append(_row(name, found))
            allocated += found.st_blocks * 512
    return rows, allocated


def drop(step, out):
    """Step `caches.drop`: the packages that the plan lists, if they are still the same."""
    return each(step, out, _drop)


def _drop(change, args, out):
    wanted = change["object"]
    if archives(out) != wanted["folder"]:
        raise walk.Refused("changed_since", "apt keeps its packages elsewhere now")
    folder = _open(wanted["folder"], args["protect"])
    try:
        if os.fstat(folder).st_dev != wanted["dev"]:
            raise walk.Refused("changed_since", "the folder lies on another file system now")
        lock = _lock(folder)
        try:
            return _remove(change["id"], folder, wanted["files"])
        finally:
            os.close(lock)
    finally:
        os.close(folder)


def _remove(change_id, folder, rows):
    meter = freed.Meter(folder)
    removed, allocated, gone = 0, 0, 0
    for row in rows:
        name = frames.raw(row[0])
        found = _package(folder, name)
        if found is None or _row(name, found) != row:
            gone += not os.path.lexists(b"/proc/self/fd/%d/%s" % (folder, name))
            continue
        os.unlink(name, dir_fd=folder)
        removed, allocated = removed + 1, allocated + found.st_blocks * 512
    if not removed:
        if gone == len(rows):
            raise walk.Refused("vanished", "somebody else emptied the cache")
        raise walk.Refused("changed_since", "none of the %d packages is the same" % len(rows))
    os.fsync(folder)
    measured = meter.freed(allocated)
    state, reason, detail = freed.verdict(measured, removed, "packages")
    stayed = "%d of %d packages" % (removed, len(rows)) if removed < len(rows) else ""
    detail = "; ".join(part for part in (stayed, detail) if part)
    return outcome(
        change_id, state, reason, detail, freed_now=measured, freed_at_purge=0, files=removed, bytes=allocated
    )


def recall(change):
    """What became of a change whose outcome was never recorded; reads only."""
    wanted = change["object"]
    folder = _open(wanted["folder"], ())
    try:
        there = {row[0]: row for row in packages(folder)[0]}
    finally:
        os.close(folder)
    left = sum(there.get(row[0]) == row for row in wanted["files"])
    if not left:
        return outcome(change["id"], "done", "verified", "none of the packages is there any more")
    if left == len(wanted["files"]):
        return outcome(change["id"], "skipped", "not_started", "found untouched")
    return outcome(change["id"], "unknown", "unfinished", "%d of %d packages are left" % (left, len(wanted["files"])))


def _open(path, protect):
    """The folder, which must be root's alone to write. Raises Refused."""
    parts = globs.components(path)
    for text in protect:
        if globs.Rule(text).keeps(parts):
            raise walk.Refused("protected", "protected by %s" % text)
    folder, _ = walk.descend([frames.raw(part) for part in parts], len(parts))
    found = os.fstat(folder)
    if found.st_uid != 0 or found.st_mode & 0o022:
        os.close(folder)
        raise walk.Refused("not_allowed", "others than root may write %s" % path)
    return folder


def _package(folder, name):
    """lstat of a package file; None for anything else."""
    if not name.endswith(b".deb"):
        return None
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else None


def _row(name, found):
    return [frames.text(name), found.st_ino, found.st_size, found.st_mtime_ns]


def _lock(folder):
    """apt's own lock on the folder, held until it is closed. Raises Refused(busy)."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(LOCK, flags, 0o640, dir_fd=folder)
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except OSError as error:
        os.close(lock)
        raise walk.Refused("busy", "apt is at work there") from error
