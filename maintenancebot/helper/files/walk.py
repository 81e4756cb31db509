"""Descends by folder descriptors: never through a link, never over a mount of any kind, names as bytes.

A path is only ever followed component by component from an open folder, so that nobody can swap a parent for a link
in between. Where openat2 works the kernel itself refuses links and mounts; elsewhere mounts are told apart by mount id,
since a bind mount of the same file system has the same device number.
"""

import errno
import os
import stat

from .. import frames
from . import openat2

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
O_PATH = getattr(os, "O_PATH", 0o10000000)
O_NOATIME = getattr(os, "O_NOATIME", 0o1000000)
OWN_PREFIX = b".maintenancebot"
MAX_DEPTH = 400
"""Levels below the start of a walk: one descriptor each, well below the usual limit of 1024."""
ALIVE_SECONDS = 5

REASONS = {
    errno.ENOENT: "vanished",
    errno.ESTALE: "vanished",
    errno.ELOOP: "symlink",
    errno.ENOTDIR: "changed_since",
    errno.EXDEV: "other_file_system",
    errno.EEXIST: "target_exists",
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EROFS: "read_only",
    errno.EPERM: "immutable",
    errno.EACCES: "unreadable",
}


class Refused(Exception):
    """Left alone; `reason` is a word of the controller's closed list."""

    def __init__(self, reason, detail=""):
        self.reason = reason
        self.detail = detail
        Exception.__init__(self, detail or reason)


def reason_of(error):
    """The word for an OSError."""
    return REASONS.get(error.errno, "write_error")


def open_folder(name, parent=None):
    """Open a folder without following a link and without touching its access time."""
    return _sparing_atime(lambda flags: os.open(name, flags, dir_fd=parent), FOLDER)


def open_inside(name, folder, flags=FOLDER, mount=None):
    """Open a name in an open folder, following no link and entering no mount: OSError with EXDEV then.

    `mount` is the id of the folder's mount, if it is known.
    """
    opener = openat2.opener()
    if opener is not None:
        resolve = openat2.NO_LINKS | openat2.NO_XDEV
        return _sparing_atime(lambda flags: opener(name, flags, folder, resolve), flags)
    fd = _sparing_atime(lambda flags: os.open(name, flags, dir_fd=folder), flags)
    try:
        if mount_id(fd) != (mount_id(folder) if mount is None else mount):
            raise OSError(errno.EXDEV, "a mount point")
        return fd
    except BaseException:
        os.close(fd)
        raise


def _sparing_atime(function, flags):
    if flags & O_PATH:
        return function(flags)
    try:
        return function(flags | O_NOATIME)
    except PermissionError:  # only the owner and root may leave the access time alone
        return function(flags)


def mount_id(fd):
    """The id of the mount that a descriptor is on."""
    with open("/proc/self/fdinfo/%d" % fd, "rb") as stream:
        for line in stream:
            if line.startswith(b"mnt_id:"):
                return int(line.split()[1])
    raise Refused("lacks", "the kernel does not tell mount ids")


def lstat(path):
    """stat of a path (text) without following a link anywhere in it; None when there is nothing to be reached."""
    parts = [frames.raw(part) for part in path.split("/") if part]
    try:
        folder, _ = descend(parts[:-1], len(parts))
    except Refused:
        return None
    try:
        return os.stat(parts[-1], dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None
    finally:
        os.close(folder)


def located_at(fd, path):
    """Whether an open folder still lies at that path: it may have been moved while it was open."""
    return os.readlink("/proc/self/fd/%d" % fd) == os.fsdecode(path)


def descend(parts, anchor):
    """Open the folder of that path (bytes components) from / down.

    Below the first `anchor` components it never enters another mount: the allowed tree itself may be one. Returns the
    descriptor and the owner and mode of each folder on the way. Raises Refused.
    """
    fd, passed = open_folder(b"/"), []
    try:
        for depth, name in enumerate(parts, 1):
            inner = _enter(fd, name, parts[:depth], depth <= anchor)
            os.close(fd)
            fd, facts = inner, os.fstat(inner)
            passed.append({"uid": facts.st_uid, "gid": facts.st_gid, "mode": stat.S_IMODE(facts.st_mode)})
        return fd, passed
    except BaseException:
        os.close(fd)
        raise


def _enter(fd, name, sofar, may_cross):
    try:
        return open_folder(name, fd) if may_cross else open_inside(name, fd)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise Refused("other_file_system", "%s is a mount point" % show(sofar)) from error
        reason = "symlink" if error.errno == errno.ENOTDIR and _is_link(fd, name) else reason_of(error)
        raise Refused(reason, "%s: %s" % (show(sofar), error.strerror)) from error


def _is_link(fd, name):
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except OSError:
        return False


def join(parts):
    """Bytes components as a path."""
    return b"/" + b"/".join(parts)


def show(parts):
    """Bytes components as text for a message."""
    return frames.text(join(parts))


def names(fd):
    """The names in an open folder, as bytes, a few at a time where python3 can."""
    if os.scandir in os.supports_fd:
        with os.scandir(fd) as entries:
            for entry in entries:
                yield os.fsencode(entry.name)
    else:
        for name in os.listdir(fd):
            yield os.fsencode(name)
