"""A new file in anybody's folder: without a name, or a temporary one, until it is complete; it replaces nothing."""

import binascii
import errno
import os

from . import walk

HOW = os.O_RDWR | os.O_CLOEXEC


def temporary_name():
    """A name of ours that nobody guesses."""
    return walk.OWN_PREFIX + b"-" + binascii.hexlify(os.urandom(8)) + b".tmp"


class Fresh:
    """An open empty file, 0600 and root's own; close `fd` when done."""

    def __init__(self, folder, temporary):
        self._folder = folder
        self._names = []
        try:
            self.fd = os.open(".", HOW | os.O_TMPFILE, 0o600, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
            self.fd = os.open(temporary, HOW | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            self._names.append(temporary)

    def publish(self, name):
        """Give it its name, unless that is taken, and wait until it is on the disk."""
        os.link("/proc/self/fd/%d" % self.fd, name, dst_dir_fd=self._folder, follow_symlinks=True)
        self.withdraw()
        self._names.append(name)
        os.fsync(self._folder)

    def withdraw(self):
        """Remove the names that it has, where they still stand for it."""
        made = os.fstat(self.fd)
        while self._names:
            name = self._names.pop()
            if stands_for(self._folder, name, made):
                os.unlink(name, dir_fd=self._folder)


def stands_for(folder, name, facts):
    """Whether a name in an open folder is that very file."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (facts.st_dev, facts.st_ino)


def write_all(fd, data):
    """Write every byte."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
