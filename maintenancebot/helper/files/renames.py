"""Renames that never make a file lose its only name: to a free one, or two files that change places."""

import errno
import os

try:
    import ctypes
except ImportError:  # python3-minimal
    ctypes = None

NOREPLACE = 1
EXCHANGE = 2


def take(source, name, item, new_name):
    """Move a name from anybody's folder into a private one of ours.

    Where the kernel cannot refuse to replace, a plain rename is the safer way here: in our folder, which nobody else
    can write, the new name is free, while link and unlink could unlink what was swapped in between.
    """
    if not _renameat2(source, name, item, new_name):
        if _exists(item, new_name):
            raise FileExistsError(errno.EEXIST, "already there")
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=item)


def give(item, name, target, new_name):
    """Move a file from a private folder of ours to a name in anybody's folder; FileExistsError if that is taken.

    Without the kernel's help it is linked, which never replaces, and then unlinked in our own folder.
    """
    if not _renameat2(item, name, target, new_name):
        os.link(name, new_name, src_dir_fd=item, dst_dir_fd=target, follow_symlinks=False)
        os.unlink(name, dir_fd=item)


def exchange(folder, name, other_folder, other_name):
    """Let two files change places in one instant: nobody ever sees either name without a file.

    Nothing else can replace a file without a moment in which a third one could be lost, so there is no other way.
    OSError with EOPNOTSUPP where the kernel or the file system does not have it.
    """
    if not _renameat2(folder, name, other_folder, other_name, EXCHANGE):
        raise OSError(errno.EOPNOTSUPP, "files cannot change places here")


def _exists(folder, name):
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _renameat2(old_folder, old, new_folder, new, flags=NOREPLACE):
    """True when it is done, False when this kernel, C library or file system does not have it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if ctypes else None
    if call is None:
        return False
    if call(old_folder, ctypes.c_char_p(old), new_folder, ctypes.c_char_p(new), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL):
        return False
    raise OSError(number, os.strerror(number))
