"""Single files and links by descriptor: the identity that a plan names, attributes, and opening exactly that file."""

import errno
import fcntl
import os
import platform
import stat
import struct

from . import walk

IMMUTABLE = 0x10
APPEND_ONLY = 0x20
LOOK = walk.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

IDENTITY = ("dev", "ino", "size", "mtime_ns", "ctime_ns", "mode", "uid", "gid")
MOVED = ("dev", "ino", "size", "mtime_ns", "mode", "uid", "gid")
"""What a rename leaves as it is; most file systems set the ctime."""


def values(facts):
    """The identity fields of a stat result."""
    return {
        "dev": facts.st_dev,
        "ino": facts.st_ino,
        "size": facts.st_size,
        "mtime_ns": facts.st_mtime_ns,
        "ctime_ns": facts.st_ctime_ns,
        "mode": facts.st_mode,
        "uid": facts.st_uid,
        "gid": facts.st_gid,
    }


def is_link(expected):
    """Whether an identity is that of a symbolic link."""
    return stat.S_ISLNK(expected["mode"])


def target(fd):
    """Where an open link leads to, as bytes."""
    return os.readlink(b"", dir_fd=fd)


def check(facts, expected, fields=IDENTITY):
    """Raise Refused unless a stat result is a plain file of one name, or a link if expected, with that identity."""
    if stat.S_ISLNK(facts.st_mode) and not is_link(expected):
        raise walk.Refused("symlink", "a link lies there now")
    if not stat.S_ISREG(facts.st_mode) and not stat.S_ISLNK(facts.st_mode):
        raise walk.Refused("special", "not a regular file any more")
    found = values(facts)
    changed = [field for field in fields if found[field] != expected[field]]
    if changed:
        raise walk.Refused("changed_since", "differs in %s" % ", ".join(changed))
    if facts.st_nlink != 1:
        raise walk.Refused("hard_linked", "%d links" % facts.st_nlink)


def attributes(fd):
    """The immutable and append-only bits; 0 where the file system has none. `fd` must be open for reading."""
    direction = 2 << (29 if platform.machine().startswith(("ppc", "mips", "sparc", "alpha")) else 30)
    request = direction | struct.calcsize("l") << 16 | ord("f") << 8 | 1  # FS_IOC_GETFLAGS
    try:
        answer = fcntl.ioctl(fd, request, bytes(bytearray(8)))
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):
            return 0
        raise
    return struct.unpack("I", answer[:4])[0] & (IMMUTABLE | APPEND_ONLY)


def open_exact(folder, name, expected):
    """Open for reading the very file that the plan names, not what lies at its name in the next moment.

    The name is opened without access, looked at, and only then opened again through its descriptor: a FIFO is never
    waited for and a device never touched. A link is opened without access only. Raises Refused.
    """
    try:
        look = walk.open_inside(name, folder, LOOK)
    except OSError as error:
        raise walk.Refused(walk.reason_of(error), error.strerror) from error
    try:
        check(os.fstat(look), expected)
        return os.dup(look) if is_link(expected) else reopen(look)
    finally:
        os.close(look)


def reopen(look):
    """Open for reading what a descriptor without access stands for, leaving its access time alone."""
    path = "/proc/self/fd/%d" % look
    try:
        return os.open(path, READ | walk.O_NOATIME)
    except PermissionError:
        try:
            return os.open(path, READ)
        except OSError as error:
            raise walk.Refused("unreadable", error.strerror) from error
    except OSError as error:
        raise walk.Refused(walk.reason_of(error), error.strerror) from error
