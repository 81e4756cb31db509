"""Descends and walks by folder descriptors: never through a link, never over a mount of any kind, names as bytes.

A path is only ever followed component by component from an open folder, so that nobody can swap a parent for a link
in between. Mounts are told apart by mount id, since a bind mount of the same file system has the same device number.
"""

import errno
import os
import stat
import time

from . import frames

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
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
    try:
        return os.open(name, FOLDER | O_NOATIME, dir_fd=parent)
    except PermissionError:  # only the owner and root may leave the access time alone
        return os.open(name, FOLDER, dir_fd=parent)


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
        mount = mount_id(fd)
        for depth, name in enumerate(parts, 1):
            inner = _enter(fd, name, parts[:depth])
            os.close(fd)
            fd = inner
            here, facts = mount_id(fd), os.fstat(fd)
            if depth > anchor and here != mount:
                raise Refused("other_file_system", "%s is a mount point" % show(parts[:depth]))
            mount = here
            passed.append({"uid": facts.st_uid, "gid": facts.st_gid, "mode": stat.S_IMODE(facts.st_mode)})
        return fd, passed
    except BaseException:
        os.close(fd)
        raise


def _enter(fd, name, sofar):
    try:
        return open_folder(name, fd)
    except OSError as error:
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


class Tree:
    """One walk below a pattern's static root; counts what it passes, yields what the pattern matches."""

    def __init__(self, glob, anchor, mountpoints, alive=None):
        self.files = 0
        self.bytes = 0
        self.mounts = []  # paths that were not entered
        self.troubles = {}  # reason -> how many folders could not be entered
        self._glob = glob
        self._anchor = anchor
        self._mountpoints = mountpoints
        self._alive = alive
        self._spoke = time.monotonic()

    def matches(self):
        """Yield (folder descriptor, folder path, name, lstat) for each entry that matches and is no folder.

        The descriptor is good until the next one is asked for. Raises Refused when the start cannot be reached.
        """
        parts = [frames.raw(part) for part in self._glob.static]
        fd, _ = descend(parts, self._anchor)
        stack = [_Level(fd, join(parts), self._glob.start(self._glob.static))]
        mount = mount_id(fd)
        try:
            while stack:
                level = stack[-1]
                if level.folders is None:
                    level.folders = []
                    for found in self._read(level):
                        yield found
                elif not level.folders:
                    os.close(stack.pop().fd)
                else:
                    inner = self._below(level, mount, len(stack))
                    if inner is not None:
                        stack.append(inner)
        finally:
            for level in stack:
                os.close(level.fd)

    def _read(self, level):
        for name in self._names(level):
            self._speak()
            try:
                facts = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
            except OSError:
                continue  # gone while we looked
            if stat.S_ISDIR(facts.st_mode):
                states = self._glob.enter(level.states, frames.text(name))
                if states and not name.startswith(OWN_PREFIX):
                    level.folders.append((name, states))
                continue
            if stat.S_ISREG(facts.st_mode):
                self.files += 1
                self.bytes += facts.st_blocks * 512
            if self._glob.accepts(level.states, frames.text(name)):
                yield level.fd, level.path, name, facts

    def _names(self, level):
        try:
            for name in names(level.fd):
                yield name
        except OSError as error:  # what was read counts
            self._trouble(reason_of(error))

    def _below(self, level, mount, depth):
        name, states = level.folders.pop()
        path = level.path.rstrip(b"/") + b"/" + name
        if path in self._mountpoints:  # not even opened: that alone may wake an automount or hang on a dead server
            self.mounts.append(path)
            return None
        if depth >= MAX_DEPTH:
            self._trouble("over_cap")
            return None
        try:
            fd = open_folder(name, level.fd)
        except OSError as error:
            if error.errno != errno.ENOENT:
                self._trouble(reason_of(error))
            return None
        if mount_id(fd) != mount:
            os.close(fd)
            self.mounts.append(path)
            return None
        return _Level(fd, path, states)

    def _trouble(self, reason):
        self.troubles[reason] = self.troubles.get(reason, 0) + 1

    def _speak(self):
        if self._alive is not None and time.monotonic() - self._spoke > ALIVE_SECONDS:
            self._alive("walking")
            self._spoke = time.monotonic()


class _Level:
    """An open folder of a walk; `folders` is None until it was read."""

    __slots__ = ("fd", "folders", "path", "states")

    def __init__(self, fd, path, states):
        self.fd = fd
        self.path = path
        self.states = states
        self.folders = None
