"""Which copies of a backup there are: files that match, links that point at them, what is left aside and why."""

import calendar
import fnmatch
import itertools
import os
import re
import stat
import time

from ..frames import raw, text
from . import pgfolder
from .verdicts import FUTURE_SLACK

MOST_ENTRIES = 200000

UNFINISHED = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", ".inprogress", ".in-progress")
BESIDES = (".incomplete", ".writing", ".swp", ".lock", ".lck", ".pid", "~", ".log", ".asc", ".sig")
CHECKSUMS = (".md5", ".sha1", ".sha256", ".sha512", ".md5sum", ".sha1sum", ".sha256sum", ".sha512sum")
NOT_A_COPY = (*UNFINISHED, *BESIDES, *CHECKSUMS)
"""Ends of names of what is still being made, of locks and of checksums."""

CLAIMS_LATEST = re.compile(r"latest|newest|current|(?<![a-z])last(?![a-z])", re.IGNORECASE)
DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)([01]\d)\2([0-3]\d)"
    r"(?:[T_ .-]{0,2}([0-2]\d)[:hH._-]?([0-5]\d)(?:[:mM._-]?([0-5]\d))?)?(?!\d)"
)


class Copy:
    """One file that may be a copy of the backup, or the `toc.dat` of a `folder` of pg_dump's that is one."""

    def __init__(self, path, facts, folder=None, size=None):
        self.path = path
        self.folder = folder
        self.name = text(os.path.basename(folder or path))
        self.facts = facts
        self.size = facts.st_size if size is None else size
        self.series = re.sub(r"\d+", "0", self.name)
        dates = dates_in(self.name)
        ends = [("its modification time", facts.st_mtime)] + [("the date in its name", end) for _, end in dates]
        self.time_from, self.time = min(ends, key=lambda pair: pair[1])
        self.latest_start = min([start for start, _ in dates] or [facts.st_mtime])

    def in_future(self, now):
        """Whether it claims to be made later than now, by its name or its modification time."""
        return max(self.facts.st_mtime, self.latest_start) > now + FUTURE_SLACK


def dates_in(name):
    """The spans of time that a date in a name can mean: (start, end) once in UTC and once in the host's own zone.

    A date alone covers its whole day, so its end is what the name still allows. Empty without a date that exists.
    """
    found = DATE.search(name)
    if not found:
        return []
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 3, 4, 5, 6, 7))
    fields = (year, month, day, hour, minute, second, 0, 0, -1)
    try:
        utc = calendar.timegm(fields)
        if time.gmtime(utc)[:3] != (year, month, day) or hour > 23:
            return []
        local = time.mktime(fields)
    except (ValueError, OverflowError):
        return []
    length = 0 if found.group(5) else 86400
    return [(start, start + length) for start in (utc, local)]


class Found:
    """What a pattern matched."""

    def __init__(self):
        self.copies = []
        self.links = []
        self.folders = 0
        self.left_aside = []
        self.unreadable = []
        self.cut = False


def find(pattern):
    """Look for the copies that an absolute glob names.

    The part before the first wildcard is the operator's word and may hold links; below it no link is followed, but a
    link that matches is resolved and reported.
    """
    found = Found()
    parts = [part for part in raw(pattern).split(b"/") if part]
    fixed = 0
    while fixed < len(parts) - 1 and not _magic(parts[fixed]):
        fixed += 1
    base = os.path.realpath(b"/" + b"/".join(parts[:fixed]))
    budget = [MOST_ENTRIES]
    for folder, entry in _match(base, parts[fixed:], found, budget):
        _sort(os.path.join(folder, entry), found)
    found.cut = budget[0] <= 0
    return found


def _magic(part):
    return any(mark in part for mark in (b"*", b"?", b"["))


def _match(base, parts, found, budget):
    """Yield (folder, name) for each entry below a folder that fits; not by recursion, since others make folders too."""
    waiting = [(base, parts)]
    while waiting:
        folder, (part, *rest) = waiting.pop()
        inner = [(folder, rest or [b"*"])] if part == b"**" else []
        for name in _names(folder, part, found, budget):
            path = os.path.join(folder, name)
            if part == b"**":
                if not name.startswith(b".") and _is_folder(path):
                    inner.append((path, [part, *rest]))
            elif not rest:
                yield folder, name
            elif _is_folder(path):
                inner.append((path, rest))
        waiting += reversed(inner)


def _names(folder, part, found, budget):
    """The names of a folder that fit one part of the pattern; hidden ones only when the pattern shows their dot."""
    if not _magic(part):
        return [part]
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, max(1, budget[0])))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError:
        found.unreadable.append(text(folder))
        return []
    budget[0] -= len(names)
    if budget[0] <= 0:
        return []
    if part == b"**":
        return names
    return [name for name in names if fnmatch.fnmatchcase(name, part) and (part[:1] == b"." or name[:1] != b".")]


def _is_folder(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _sort(path, found):
    try:
        facts = os.lstat(path)
        if stat.S_ISLNK(facts.st_mode):
            _resolve(path, found)
        elif stat.S_ISDIR(facts.st_mode):
            _sort_folder(path, found)
        elif not stat.S_ISREG(facts.st_mode) or text(path).lower().endswith(NOT_A_COPY):
            found.left_aside.append(text(path))
        else:
            found.copies.append(Copy(path, facts))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        found.unreadable.append(text(path))


def _sort_folder(path, found):
    inner = pgfolder.facts_of(path)
    if inner is None or not stat.S_ISREG(inner[0].st_mode):
        found.folders += 1
    else:
        found.copies.append(Copy(os.path.join(path, pgfolder.CONTENTS), inner[0], path, inner[1]))


def _resolve(path, found):
    """A link is no copy of its own: say where it points, and count its target once."""
    target = os.path.realpath(path)
    link = {"path": text(path), "target": text(target), "dangling": False, "time": None}
    try:
        facts = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        link["dangling"] = True
    else:
        copy = Copy(target, facts)
        if stat.S_ISDIR(facts.st_mode):
            before = len(found.copies)
            _sort_folder(target, found)
            copy = found.copies[-1] if len(found.copies) > before else copy
        elif stat.S_ISREG(facts.st_mode) and not copy.name.lower().endswith(NOT_A_COPY):
            found.copies.append(copy)
        link["time"] = copy.time
    link["claims_latest"] = bool(CLAIMS_LATEST.search(text(os.path.basename(path))))
    found.links.append(link)


def distinct(copies):
    """Each file once, newest first, whatever links lead to it."""
    seen = {}
    for copy in copies:
        seen.setdefault((copy.facts.st_dev, copy.facts.st_ino), copy)
    return sorted(seen.values(), key=lambda copy: (copy.time, copy.name), reverse=True)
