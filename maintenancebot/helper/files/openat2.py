"""openat2: opens a name and lets the kernel itself refuse links and mounts on the way, in one step.

No C library offers it, so it is called by its number. A container's seccomp filter, an old kernel (before 5.6) or an
emulator may not have it: whoever uses it has another, equally safe way for that case.
"""

import errno
import os
import platform

try:
    import ctypes
except ImportError:  # python3-minimal
    ctypes = None

NUMBER = 437
MACHINES = ("x86_64", "aarch64", "riscv64", "s390x", "ppc64le")
"""Where that is its number, for a python3 of 64 bits."""

NO_XDEV = 0x01
NO_MAGICLINKS = 0x02
NO_SYMLINKS = 0x04
NO_LINKS = NO_SYMLINKS | NO_MAGICLINKS
HARMLESS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_found = []


def opener():
    """A function (name, flags, folder, resolve) that opens or raises OSError; None where openat2 does not really work.

    Found out once per process.
    """
    if not _found:
        _found.append(_opener())
    return _found[0]


def _opener():
    if ctypes is None or platform.machine() not in MACHINES or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        function = _bind()
        return function if _holds(function) else None
    except (OSError, AttributeError):
        return None


def _bind():
    class How(ctypes.Structure):
        _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))

    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    size, how = ctypes.sizeof(How), How()
    place = ctypes.addressof(how)

    def function(name, flags, folder, resolve):
        how.flags, how.resolve = flags, resolve
        fd = call(NUMBER, folder, name, place, size)
        if fd < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return fd

    return function


def _holds(function):
    """Whether it opens, and refuses a link and a mount: /proc is one, and has one."""
    root = function(b"/", HARMLESS, -1, NO_LINKS)
    try:
        return _refuses(function, root, b"proc", NO_XDEV, errno.EXDEV) and _refuses(
            function, root, b"proc/self", NO_LINKS, errno.ELOOP
        )
    finally:
        os.close(root)


def _refuses(function, root, name, resolve, number):
    try:
        os.close(function(name, HARMLESS, root, resolve))
    except OSError as error:
        return error.errno == number
    return False
