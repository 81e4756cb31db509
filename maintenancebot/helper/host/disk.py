"""Probe operation `disk`: how full one file system is, in bytes and inodes, and what uses it. Writes nothing."""

import os
import stat

from .. import frames
from ..files import walk
from ..results import Result
from . import facts, occupants, usage

READ_ONLY = ("squashfs", "iso9660", "erofs", "cramfs", "udf", "romfs")
"""Made full, and never written."""

MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "efivarfs")


def probe(args, out):
    """Measure the file system mounted at `mount`; where its use is at or above `percent`, look at what uses it too.

    `elsewhere` is another folder whose file system is measured, which may not be there yet. Findings: `directory`,
    `file`, `place` with bytes, and `deleted_open` with the process; the figures are facts.
    """
    try:
        row = _row(args["mount"])
        fd = walk.open_folder(row["path"])
    except walk.Refused as error:
        return Result("skipped", error.reason, error.detail)
    except OSError as error:
        return Result("unknown", walk.reason_of(error), error.strerror)
    try:
        if walk.mount_id(fd) != row["id"]:
            return Result("skipped", "missing", "%s is hidden by another mount" % args["mount"])
        found = measure(fd)
        if found.pop("read_only"):
            return Result("skipped", "read_only", "%s is mounted read-only" % args["mount"])
        found.update(mount=args["mount"], fs_type=row["type"], dev=os.fstat(fd).st_dev)
        found["elsewhere"] = _elsewhere(args.get("elsewhere"))
        if max(found["percent"], found["inode_percent"]) >= args["percent"]:
            found.update(occupants.look(fd, row["path"], out))
        return Result(facts=found)
    finally:
        os.close(fd)


def measure(fd):
    """What statvfs tells of an open folder's file system; percent as df works it out, rounded up."""
    told = os.fstatvfs(fd)
    used = (told.f_blocks - told.f_bfree) * told.f_frsize
    available = told.f_bavail * told.f_frsize
    inodes_used = told.f_files - told.f_ffree
    return {
        "total": told.f_blocks * told.f_frsize,
        "used": used,
        "available": available,
        "percent": _percent(used, available),
        "inodes": told.f_files,
        "inodes_used": inodes_used,
        "inodes_available": told.f_favail,
        "inode_percent": _percent(inodes_used, told.f_favail),
        "read_only": bool(told.f_flag & os.ST_RDONLY),
    }


def _percent(used, available):
    whole = used + available
    return -(-100 * used // whole) if whole else 0  # some file systems have no fixed number of inodes


def _row(path):
    """The mount at exactly this path that is seen there: the last one of the table. Raises Refused."""
    wanted = frames.raw(path)
    rows = [row for row in facts.mount_table() if row["path"] == wanted]
    if not rows:
        raise walk.Refused("missing", "%s is no mount point of this host" % path)
    kind = rows[-1]["type"]
    if kind in READ_ONLY:
        raise walk.Refused("read_only", "%s is a %s: always full, and never written" % (path, kind))
    if kind in MEMORY:
        raise walk.Refused("special", "%s is a %s: it lies in memory" % (path, kind))
    if kind in facts.PSEUDO:
        raise walk.Refused("special", "%s is a %s: it holds no files of its own" % (path, kind))
    if usage.is_shared(kind):
        raise walk.Refused("use_unknown", "%s is a %s: others may use it too" % (path, kind))
    return rows[-1]


def _elsewhere(path):
    """Device and room of the file system where a folder lies, or will lie; None without one."""
    while path:
        try:
            found = os.lstat(frames.raw(path))
        except OSError:
            path = path.rpartition("/")[0] or ("/" if path != "/" else "")
            continue
        if not stat.S_ISDIR(found.st_mode):
            return None
        fd = walk.open_folder(frames.raw(path))
        try:
            return dict(measure(fd), dev=os.fstat(fd).st_dev)
        finally:
            os.close(fd)
    return None
