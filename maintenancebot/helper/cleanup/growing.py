"""One log that may be rotated: in its open folder, with what speaks against it and who writes it."""

import os
import stat

from .. import frames
from ..files import walk
from ..host import units, writers
from ..trash import source
from . import rotation

IDENTITY = ("dev", "ino", "mode", "uid", "gid")
"""What must still hold of a log; its size and times change all the time."""

NAME_MAX = 255 - len("-20260101-1234567890")


class Log:
    """A log in its open folder. Raises Refused when it is not to be touched."""

    def __init__(self, path, args):
        self.path = path
        parts, self.anchor = source.rules(path, args)
        raw = [frames.raw(part) for part in parts]
        self.root = "/" + "/".join(parts[: self.anchor])
        self.name, self._place = raw[-1], walk.join(raw[:-1])
        self.folder, self._parents = walk.descend(raw[:-1], self.anchor)
        try:
            self.looked = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except OSError as error:
            os.close(self.folder)
            raise walk.Refused(walk.reason_of(error), error.strerror) from error

    def close(self):
        """Close its folder."""
        os.close(self.folder)

    @property
    def key(self):
        """Device and inode."""
        return self.looked.st_dev, self.looked.st_ino

    def identity(self):
        """What a plan names it by."""
        found = self.looked
        numbers = (found.st_dev, found.st_ino, found.st_mode, found.st_uid, found.st_gid)
        return dict(zip(IDENTITY, numbers), path=self.path, root=self.root)  # noqa: B905  not in Python 3.6

    def check(self, managed):
        """Raise Refused unless logrotate can rotate it, and nobody else does."""
        if stat.S_ISLNK(self.looked.st_mode):
            raise walk.Refused("symlink")
        if not stat.S_ISREG(self.looked.st_mode) or self.looked.st_mode & stat.S_ISVTX:
            raise walk.Refused("special")
        if self.looked.st_nlink != 1:
            raise walk.Refused("hard_linked")
        if managed.holds(self.path):
            raise walk.Refused("logrotate_managed")
        if len(self.name) > NAME_MAX:
            raise walk.Refused("name_too_long")
        if not rotation.can_name(self.path):
            raise walk.Refused("not_allowed", "logrotate's configuration cannot carry this name")
        if self.exposed() and self.looked.st_uid == 0:
            raise walk.Refused("not_allowed", "a log of root in a folder that others may write")
        if not walk.located_at(self.folder, self._place):
            raise walk.Refused("changed_since", "its folder was moved")

    def exposed(self):
        """Whether others than root may change a folder on the way: logrotate then works as the log's owner."""
        last = len(self._parents) - 1
        return any(_is_open(one, sticky_helps=number < last) for number, one in enumerate(self._parents))

    def must_reopen(self, unit):
        """The processes that write it, all of which reloading `unit` makes open it again. Raises Refused."""
        found = writers.of(self.key)
        if not found:
            self._nobody_unseen()
            return []
        if not unit:
            raise walk.Refused("needs_reload", "open by %s" % names_of(found))
        others = [one for one in found if one.unit != unit]
        if others:
            raise walk.Refused("needs_reload", "open by %s, not of %s" % (names_of(others), unit))
        state = units.show(unit, "ActiveState", "CanReload")
        if state.get("ActiveState") != "active":
            raise walk.Refused("not_responding", "%s is %s" % (unit, state.get("ActiveState", "unknown")))
        if state.get("CanReload") != "yes":
            raise walk.Refused("needs_reload", "%s cannot be reloaded" % unit)
        return found

    def _nobody_unseen(self):
        fd = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.folder)
        try:
            if writers.unseen(fd):
                raise walk.Refused("use_unknown", "open by a process that cannot be seen")
        finally:
            os.close(fd)

    def now(self, name=None):
        """lstat of what lies at its name, or at another one in its folder; None without."""
        try:
            return os.stat(name or self.name, dir_fd=self.folder, follow_symlinks=False)
        except OSError:
            return None

    def rotated(self, key):
        """The name under which the file of that (device, inode) lies after its rotation; None without one."""
        for name in walk.names(self.folder):
            if name.startswith(self.name + b"-"):
                found = self.now(name)
                if found is not None and (found.st_dev, found.st_ino) == key:
                    return name
        return None


def _is_open(folder, sticky_helps):
    """Whether others may rename what lies in a folder; logrotate trusts no sticky one that holds logs."""
    if folder["uid"] != 0:
        return True
    writable = folder["mode"] & 0o002 or (folder["mode"] & 0o020 and folder["gid"] != 0)
    return bool(writable) and not (sticky_helps and folder["mode"] & stat.S_ISVTX)


def names_of(found):
    """Processes for a message."""
    return ", ".join(str(one) for one in found[:5])
