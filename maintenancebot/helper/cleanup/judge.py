"""The rules of one pattern for one file: what a probe lists and what `explain` tells are answered here."""

import os
import re
import stat

from .. import frames
from ..files import globs, inodes, untouchable, walk
from ..host import facts, usage
from ..trash import exempt, store
from . import logrotate

PACKED = re.compile(r"\.(gz|xz|zst|bz2|lz4|lzma|Z|tgz|zip)$")
OLDEST = 315532800  # 1980: before Linux, so the clock or a tool was wrong
FUTURE_SECONDS = 300
NAME_MAX = 255
DAY = 86400


class Surroundings:
    """What a file is judged by besides itself, read once per probe."""

    def __init__(self, now, wanted=None):
        rows = facts.mount_table()
        self.users = usage.Users(wanted).scan()
        self.managed = logrotate.read(now=now)
        self.exempt = exempt.keys(now)
        self.half_made = store.half_made()
        self.mountpoints = frozenset(row["path"] for row in rows)
        self._fs_types = {row["id"]: row["type"] for row in rows}
        self._shared = {}  # device number -> whether others may use it out of sight

    def is_shared(self, entry):
        """Whether it lies on a file system whose users cannot all be seen here."""
        device = entry.looked.st_dev
        if device not in self._shared:
            self._shared[device] = usage.is_shared(self._fs_types.get(walk.mount_id(entry.folder), ""))
        return self._shared[device]


class Entry:
    """A name in an open folder, as the walk found it."""

    __slots__ = ("_fd", "folder", "looked", "name", "parts", "path")

    def __init__(self, folder, path, name, looked):
        self.folder = folder
        self.path = path
        self.name = name
        self.looked = looked
        self.parts = path.split("/")[1:]
        self._fd = None

    def is_link(self):
        """Whether it is a symbolic link, which is judged and moved as such and never followed."""
        return stat.S_ISLNK(self.looked.st_mode)

    def opened(self):
        """Its descriptor, opened when it is first asked for; a link is open without access. Raises walk.Refused."""
        if self._fd is None:
            self._fd = inodes.open_exact(self.folder, self.name, inodes.values(self.looked))
        return self._fd

    def close(self):
        """Close it, if it was opened."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Judge:
    """`rules` are (name, function) in the order in which they are asked, cheapest first.

    A function takes an Entry and gives the reason why it stays, or an empty string. The last ones, `opening`, open the
    file and may raise OSError.
    """

    def __init__(self, pattern, protect, around, now):
        self.glob = globs.Glob(pattern["path"])
        self.compress = bool(pattern.get("compress"))
        self.links = bool(pattern.get("links"))
        self.age = pattern["retention_days"] * DAY
        self.protect = protect
        self.exclude = [globs.Rule(text, len(self.glob.static)) for text in pattern.get("exclude", ())]
        self.around = around
        self.now = now
        self.looking = [
            ("kind", self._kind),
            ("sticky", self._sticky),
            ("hard_links", self._hard_links),
            ("times", self._times),
            ("age", self._young),
            ("untouchable", self._untouchable),
            ("protect", self._protected),
            ("exclude", self._excluded),
            ("logrotate", self._managed),
            ("restored", self._restored),
            ("compress", self._target),
        ]
        self.opening = [("use", self._use), ("attributes", self._attributes)]

    @property
    def rules(self):
        """All of them."""
        return self.looking + self.opening

    def anchor(self, allow):
        """Number of components of the allowed tree that the pattern lies in, 0 when it lies in none."""
        return globs.inside([*self.glob.static, "."], allow)

    def reason(self, entry, full):
        """Why it stays, or an empty string when it is due. `full`: the plan's list is, so nothing is opened."""
        found = _first(self.looking, entry)
        if found or full:
            return found or "over_cap"
        try:
            return _first(self.opening, entry)
        finally:
            entry.close()

    def _kind(self, entry):
        if entry.is_link():
            return "" if self.links and not self.compress else "symlink"
        return "" if stat.S_ISREG(entry.looked.st_mode) else "special"

    def _sticky(self, entry):  # somebody marked it on purpose
        return "special" if entry.looked.st_mode & stat.S_ISVTX else ""

    def _hard_links(self, entry):
        return "hard_linked" if entry.looked.st_nlink != 1 else ""

    def _times(self, entry):
        latest = self.now + FUTURE_SECONDS
        plausible = OLDEST <= entry.looked.st_mtime <= latest and OLDEST <= entry.looked.st_ctime <= latest
        return "" if plausible else "time_implausible"

    def _young(self, entry):
        youngest = max(entry.looked.st_mtime, entry.looked.st_ctime)
        return "too_young" if self.now - youngest < self.age else ""

    def _untouchable(self, entry):
        return untouchable.reason(entry.parts)

    def _protected(self, entry):
        return "protected" if keeper(self.protect, entry.parts) else ""

    def _excluded(self, entry):
        return "kept" if keeper(self.exclude, entry.parts) else ""

    def _managed(self, entry):
        return "logrotate_managed" if self.around.managed.holds(entry.path) else ""

    def _restored(self, entry):
        return "restored" if exempt.key(entry.looked) in self.around.exempt else ""

    def _target(self, entry):
        if not self.compress:
            return ""
        if PACKED.search(frames.text(entry.name)):
            return "up_to_date"
        if len(entry.name) + 3 > NAME_MAX:
            return "name_too_long"
        try:
            there = os.stat(entry.name + b".gz", dir_fd=entry.folder, follow_symlinks=False)
        except OSError:
            return ""
        is_ours = self.around.half_made.get(entry.path + ".gz") == (there.st_ino, there.st_mtime_ns)
        return "" if is_ours else "target_exists"

    def _use(self, entry):
        if self.around.is_shared(entry):
            return "use_unknown"
        used = "" if entry.is_link() else self.around.users.reason(entry.looked)
        return _opened(entry, usage.in_doubt) if used == "use_unknown" else used

    def _attributes(self, entry):
        return _opened(entry, _is_immutable)


def keeper(rules, parts):
    """The first rule that keeps a path, None when none does."""
    for rule in rules:
        if rule.keeps(parts):
            return rule
    return None


def _first(rules, entry):
    for _, rule in rules:
        found = rule(entry)
        if found:
            return found
    return ""


def _is_immutable(fd):
    return "immutable" if inodes.attributes(fd) else ""


def _opened(entry, ask):
    """What `ask` says of the open file; a link is only looked at again, and has nothing to be asked."""
    try:
        fd = entry.opened()
    except walk.Refused as error:
        return error.reason
    return "" if entry.is_link() else ask(fd)
