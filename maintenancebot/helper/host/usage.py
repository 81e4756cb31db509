"""Who uses a file: open descriptors, mappings, locks, swap, loop devices; and a kernel's answer for a single file."""

import errno
import fcntl
import os
import signal
import stat

from .. import frames
from . import deleted, facts

NETWORK = ("nfs", "cifs", "smb", "ceph", "glusterfs", "fuse", "9p", "afs", "ocfs2", "gfs", "lustre", "virtiofs")
"""File systems that other machines, or a server process, may use at the same time: who does cannot be seen here."""

MOST = 50000
"""Files in use that are remembered. With more the kernel is asked for each candidate, as if some were out of sight."""
HOLDERS = 20


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
    return _granted(fd, fcntl.F_WRLCK)


def nobody_writes(fd):
    """True when nobody has the file of `fd` open for writing; False when somebody has; None: cannot tell.

    A read lease is granted only then.
    """
    return _granted(fd, fcntl.F_RDLCK)


def _granted(fd, lease):
    try:
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # somebody opening it in this moment must not end us
    except ValueError:
        return None  # not the main thread
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, lease)
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


def key(found):
    """A file as one number, which takes less memory than a pair."""
    return found.st_dev << 64 | found.st_ino


class Users:
    """One look at all processes, to be asked for many files.

    `deleted_open` are the deleted files whose space is still held. `holders` are those who use the one file whose
    `key` is `wanted`, as {"pid", "process", "how"}.
    """

    def __init__(self, wanted=None):
        self.open = set()
        self.mapped = set()
        self.locked = set()
        self.loose_mapped = set()  # inode numbers alone, for file systems whose device number is told differently
        self.loose_locked = set()
        self.blind = False
        self.holders = []
        self._wanted = wanted
        self._deleted = deleted.Deleted()
        self._asked = {}  # what was seen in maps -> its key
        self._avoid = ()

    @property
    def deleted_open(self):
        """See `deleted.Deleted.rows`."""
        return self._deleted.rows()

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
        number = key(found)
        if number in self.locked:
            return "locked"
        if number in self.open or number in self.mapped:
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
                target = os.fsencode(os.readlink(link))
                if is_local_path(target, self._avoid):
                    self._opened(pid, number, target, os.stat(link))
            except OSError as error:
                self._not_seen(pid, error)

    def _opened(self, pid, number, target, found):
        if not stat.S_ISREG(found.st_mode):
            return
        if found.st_nlink == 0:
            self._deleted.add(key(found), pid, target, found, number)
        else:
            self._note(self.open, key(found), pid, "open")

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
        line = (fields[3], fields[4], fields[5])
        if line in self._asked:
            self._note(self.mapped, self._asked[line], pid, "mapped")
            self._deleted.again(self._asked[line], pid)
        elif is_local_path(fields[5], self._avoid) and len(self._asked) < MOST:
            self._asked[line] = self._mapped_file(pid, fields)
            self.loose_mapped.add(int(fields[4]))
            self._note(self.mapped, self._asked[line], pid, "mapped")
        else:
            self.blind = self.blind or len(self._asked) >= MOST

    def _mapped_file(self, pid, fields):
        try:
            found = os.stat("/proc/%s/map_files/%s" % (pid, _range(fields[0])))
        except OSError:
            return _device(*fields[3].split(b":")) << 64 | int(fields[4])
        if found.st_nlink == 0:
            self._deleted.add(key(found), pid, fields[5].rstrip(b"\n"), found)
        return key(found)

    def _locks(self):
        try:
            with open("/proc/locks", "rb") as stream:
                for line in stream:
                    fields = line.split()
                    for number, field in enumerate(fields):
                        place = field.split(b":")
                        if len(place) == 3 and place[2].isdigit():
                            self.loose_locked.add(int(place[2]))
                            locked = _device(place[0], place[1]) << 64 | int(place[2])
                            self._note(self.locked, locked, fields[number - 1].decode("ascii"), "locked")
        except OSError:
            self.blind = True

    def _kernel_users(self):
        for path in _swap_files() + _loop_files():
            try:
                self._note(self.open, key(os.stat(path)), "", "open")
            except OSError:
                continue

    def _note(self, kind, number, pid, how):
        if number not in kind and len(kind) >= MOST:
            self.blind = True
            return
        kind.add(number)
        if number == self._wanted and len(self.holders) < HOLDERS:
            row = {"pid": int(pid or 0), "process": deleted.process(pid) if pid else "the kernel", "how": how}
            if row not in self.holders:
                self.holders.append(row)

    def _not_seen(self, pid, error):
        if error.errno in (errno.EACCES, errno.EPERM) and not _is_zombie(pid):
            self.blind = True


def _device(major, minor):
    return os.makedev(int(major, 16), int(minor, 16))


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
