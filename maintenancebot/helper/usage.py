"""Who uses a file: open descriptors, mappings, locks, swap, loop devices; and a kernel's answer for a single file."""

import errno
import fcntl
import os
import signal

from . import facts, frames

NETWORK = ("nfs", "cifs", "smb", "ceph", "glusterfs", "fuse", "9p", "afs", "ocfs2", "gfs", "lustre", "virtiofs")
"""File systems that other machines, or a server process, may use at the same time: who does cannot be seen here."""


def is_shared(fs_type):
    """Whether users of such a file system may be out of sight."""
    return fs_type.startswith(NETWORK)


def shared_mounts():
    """Beginnings of the paths on such file systems: to look at a file there may never end."""
    return tuple(row["path"].rstrip(b"/") + b"/" for row in facts.mount_table() if is_shared(row["type"]))


def is_local_path(target, avoid):
    """Whether what a descriptor or mapping shows is the path of a file that may be looked at."""
    return target.startswith(b"/") and not (avoid and target.startswith(avoid))


def nobody_has_it_open(fd):
    """True when `fd` is the only one the kernel has for its file, in any namespace; False when not; None: cannot tell.

    A write lease is granted only then. It is given back at once; it changes nothing on the file system.
    """
    try:
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # somebody opening it in this moment must not end us
    except ValueError:
        return None  # not the main thread
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError as error:
        return False if error.errno in (errno.EAGAIN, errno.EBUSY, errno.ETXTBSY) else None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return True


def in_doubt(fd):
    """Why the open file `fd` may not go when some processes could not be looked at: the kernel knows without them."""
    return {True: "", False: "in_use", None: "use_unknown"}[nobody_has_it_open(fd)]


def busy(fd):
    """Why the open file `fd` must not be moved now, or an empty string; asks the kernel, else all processes."""
    alone = nobody_has_it_open(fd)
    if alone is None:
        return Users().scan().reason(os.fstat(fd))
    return "" if alone else "in_use"


class Users:
    """One look at all processes, to be asked for many files."""

    def __init__(self):
        self.open = set()
        self.mapped = set()
        self.locked = set()
        self.loose_mapped = set()  # inode numbers alone, for file systems whose device number is told differently
        self.loose_locked = set()
        self.blind = False
        self._asked = set()
        self._avoid = ()

    def scan(self):
        """Look; returns itself. Another user's processes need root, else `blind` is set."""
        self._avoid = shared_mounts()
        own = str(os.getpid())
        for name in os.listdir("/proc"):
            if name.isdigit() and name != own:
                self._descriptors(name)
                self._mappings(name)
        self._locks()
        self._kernel_users()
        return self

    def reason(self, found):
        """`locked`, `in_use` or `use_unknown` for a stat result, or an empty string.

        A match of the inode number alone may be a file elsewhere: that is a doubt, for `in_doubt` to settle.
        """
        key = (found.st_dev, found.st_ino)
        if key in self.locked:
            return "locked"
        if key in self.open or key in self.mapped:
            return "in_use"
        loose = os.major(found.st_dev) == 0  # overlay, btrfs and their like
        doubtful = loose and (found.st_ino in self.loose_locked or found.st_ino in self.loose_mapped)
        return "use_unknown" if self.blind or doubtful else ""

    def _descriptors(self, pid):
        folder = "/proc/%s/fd" % pid
        try:
            numbers = os.listdir(folder)
        except OSError as error:
            self._not_seen(pid, error)
            return
        for number in numbers:
            link = folder + "/" + number
            try:
                if is_local_path(os.fsencode(os.readlink(link)), self._avoid):
                    found = os.stat(link)
                    self.open.add((found.st_dev, found.st_ino))
            except OSError as error:
                self._not_seen(pid, error)

    def _mappings(self, pid):
        try:
            with open("/proc/%s/maps" % pid, "rb") as stream:
                for line in stream:
                    fields = line.split(None, 5)
                    if len(fields) == 6 and fields[4] != b"0" and fields[5].startswith(b"/"):
                        self._mapping(pid, fields)
        except OSError as error:
            self._not_seen(pid, error)

    def _mapping(self, pid, fields):
        key = (fields[3], fields[4], fields[5])
        if key in self._asked or not is_local_path(fields[5], self._avoid):
            return
        self._asked.add(key)
        self.loose_mapped.add(int(fields[4]))
        try:
            found = os.stat("/proc/%s/map_files/%s" % (pid, _range(fields[0])))
            self.mapped.add((found.st_dev, found.st_ino))
        except OSError:
            major, minor = fields[3].split(b":")
            self.mapped.add((os.makedev(int(major, 16), int(minor, 16)), int(fields[4])))

    def _locks(self):
        try:
            with open("/proc/locks", "rb") as stream:
                for line in stream:
                    for field in line.split():
                        place = field.split(b":")
                        if len(place) == 3 and place[2].isdigit():
                            device = os.makedev(int(place[0], 16), int(place[1], 16))
                            self.locked.add((device, int(place[2])))
                            self.loose_locked.add(int(place[2]))
        except OSError:
            self.blind = True

    def _kernel_users(self):
        for path in _swap_files() + _loop_files():
            try:
                found = os.stat(path)
                self.open.add((found.st_dev, found.st_ino))
            except OSError:
                continue

    def _not_seen(self, pid, error):
        if error.errno in (errno.EACCES, errno.EPERM) and not _is_zombie(pid):
            self.blind = True


def _range(text):
    """The name in map_files of a range in maps, which has leading zeros on some kernels."""
    low, high = text.decode("ascii").split("-")
    return "%x-%x" % (int(low, 16), int(high, 16))


def _is_zombie(pid):
    try:
        with open("/proc/%s/stat" % pid, "rb") as stream:
            return stream.read(4096).rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True  # gone


def _swap_files():
    try:
        with open("/proc/swaps", "rb") as stream:
            lines = stream.read().splitlines()[1:]
    except OSError:
        return []
    return [facts.unescape(line.split()[0]) for line in lines if line.startswith(b"/")]


def _loop_files():
    found = []
    for name in os.listdir("/sys/block") if os.path.isdir("/sys/block") else []:
        if name.startswith("loop"):
            path = facts.read_line("/sys/block/%s/loop/backing_file" % name)
            if path:
                found.append(frames.raw(path))
    return found
