"""The immutable attribute of folders of ours: what is pinned stays where it is, whoever owns the folder around it."""

import fcntl
import platform
import struct

from . import inodes

_ODD = platform.machine().startswith(("ppc", "mips", "sparc", "alpha"))
_LONG = struct.calcsize("l") << 16 | ord("f") << 8
GET = (2 << (29 if _ODD else 30)) | _LONG | 1  # FS_IOC_GETFLAGS
SET = ((4 << 29) if _ODD else (1 << 30)) | _LONG | 2  # FS_IOC_SETFLAGS


def is_pinned(fd):
    """Whether an open folder has the attribute; False where the file system knows none."""
    return bool(inodes.attributes(fd) & inodes.IMMUTABLE)


def pin(fd):
    """Set it. Raises OSError where the file system knows none."""
    _change(fd, lambda flags: flags | inodes.IMMUTABLE)


def unpin(fd):
    """Take it away again."""
    _change(fd, lambda flags: flags & ~inodes.IMMUTABLE)


def _change(fd, function):
    flags = struct.unpack("I", fcntl.ioctl(fd, GET, bytes(bytearray(8)))[:4])[0]
    fcntl.ioctl(fd, SET, struct.pack("I", function(flags)) + bytes(bytearray(4)))
