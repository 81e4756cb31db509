"""Looks at backups that lie as files: the newest copy of each source, its age, its size, its content read to the end.

Nothing is written, restored or unpacked to disk. What could not be looked at is `unknown`, never `ok`.
"""

import os
import stat
import time

from ..files import opening
from ..frames import text
from ..host import usage
from . import archives, copies, pgfolder, streams
from .verdicts import bad, said, too_old, unknown
from .wanted import Wanted

HISTORY = 10
RECENT = 600
LOOK_APART = 0.5
SAME_BYTES = 1024**3
"""Up to this size a copy is compared with the one before it, byte by byte."""


def check(source, now, max_age, budget, data):
    """Fill in `data` with what is known of the newest copy; raises Verdict where it is not good."""
    data["path"] = source["path"]
    found = copies.find(source["path"])
    listed = copies.distinct(found.copies)
    data["links"] = [_said_link(link, max_age, now) for link in found.links[:HISTORY]]
    _notes(found, listed, now, data)
    if not listed:
        raise _nothing(found)
    _check_future(listed, now)
    newest = _newest_settled(listed, data)
    data["level"], data["evidence"] = "exists", _evidence(newest, now)
    data["object"] = {} if newest.folder else identity(newest.path, newest.facts)
    same = [copy for copy in listed if copy is not newest and copy.series == newest.series]
    data["others"] = [said(text(copy.path), copy.size, copy.time, now) for copy in same[:HISTORY]]
    data["count"] = 1 + sum(copy.size > 0 for copy in same)
    stale = too_old(newest.time, now, max_age, newest.time_from)
    if stale:
        raise _stale(stale, found, data)
    _check_links(found.links, max_age, now)
    data["level"] = "fresh"
    _check_size(newest, source.get("min_bytes", 1))
    _read(newest, budget, data, Wanted(source.get("contains", ())))
    _compare(newest, same, budget, data)


def identity(path, facts):
    """What makes one copy that very copy."""
    return {
        "path": text(path),
        "dev": facts.st_dev,
        "ino": facts.st_ino,
        "size": facts.st_size,
        "mtime_ns": facts.st_mtime_ns,
    }


def _evidence(newest, now):
    told = said(text(newest.folder or newest.path), newest.size, newest.time, now)
    return dict(told, time_from=newest.time_from, series=newest.series, id=_id(newest))


def _id(copy):
    return "%d-%d" % (copy.facts.st_mtime_ns, copy.size)


def _nothing(found):
    if found.unreadable:
        return unknown("unreadable", "cannot look into %s" % found.unreadable[0])
    if found.cut:
        return unknown("over_cap", "more than %d names to look at" % copies.MOST_ENTRIES)
    if found.links and all(link["dangling"] for link in found.links):
        link = found.links[0]
        return bad("missing", "%s points at %s, which is not there" % (link["path"], link["target"]))
    if found.folders and not found.left_aside:
        return bad("missing", "only folders match; name the files in them")
    if found.left_aside:
        return bad("missing", "only unfinished, lock or checksum files match, such as %s" % found.left_aside[0])
    return bad("missing", "no file matches")


def _notes(found, listed, now, data):
    if found.left_aside:
        data["notes"].append("left aside: %s" % ", ".join(os.path.basename(path) for path in found.left_aside[:5]))
    if found.unreadable:
        data["notes"].append("cannot look into %s" % found.unreadable[0])
    if found.cut:
        data["notes"].append("more than %d names to look at: a newer copy may be among the rest" % copies.MOST_ENTRIES)
    series = {}
    for copy in listed:
        series.setdefault(copy.series, copy)
    if len(series) > 1:
        data["series"] = [said(text(copy.path), copy.size, copy.time, now) for copy in list(series.values())[:HISTORY]]
        data["notes"].append("%d kinds of names match and only the newest copy of all is checked" % len(series))


def _said_link(link, max_age, now):
    return {
        "path": link["path"],
        "target": link["target"],
        "dangling": link["dangling"],
        "stale": link["time"] is not None and now - link["time"] > max_age,
    }


def _check_future(listed, now):
    for copy in listed:
        if copy.in_future(now):
            raise bad("future_dated", "%s claims a time in the future" % text(copy.path))


def _check_links(links, max_age, now):
    """A link that calls itself the latest must lead to a copy that is one."""
    for link in links:
        if not link["claims_latest"]:
            continue
        if link["dangling"]:
            raise bad("missing", "%s points at %s, which is not there" % (link["path"], link["target"]))
        if now - link["time"] > max_age:
            raise bad("stale", "%s points at %s, which is not the latest" % (link["path"], link["target"]))


def _newest_settled(listed, data):
    """The newest copy that nobody is still writing; one that is being written is no copy yet."""
    look = {copy.path: copy.facts for copy in listed[:HISTORY]}
    writers = _open_for_writing([copy.path for copy in listed])
    if os.geteuid() != 0:
        data["notes"].append("who has the file open is seen only by root; its size was looked at twice")
    if any(abs(time.time() - copy.facts.st_mtime) < RECENT for copy in listed[:HISTORY]):
        time.sleep(LOOK_APART)
    for copy in listed[:HISTORY]:
        if (copy.facts.st_dev, copy.facts.st_ino) in writers or _differs(copy.path, look[copy.path]):
            data["notes"].append("%s is being written" % text(copy.path))
            data["being_written"] = True
            continue
        return copy
    raise bad("being_written", "%s is still being written, and there is no other copy" % text(listed[0].path))


def _differs(path, facts):
    try:
        again = os.lstat(path)
    except OSError:
        return True
    return (again.st_size, again.st_mtime_ns, again.st_ino) != (facts.st_size, facts.st_mtime_ns, facts.st_ino)


def _open_for_writing(paths):
    """Device and inode of every file that a process has open for writing, as far as we may see.

    Files of other machines' and users' file systems are not looked at, unless backups lie there: that may never end.
    """
    avoid = tuple(prefix for prefix in usage.shared_mounts() if not any(path.startswith(prefix) for path in paths))
    seen = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        folder = "/proc/%s/fd" % pid
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue
        for number in descriptors:
            link = "%s/%s" % (folder, number)
            try:
                target = os.fsencode(os.readlink(link))
                if not os.lstat(link).st_mode & 0o200 or not usage.is_local_path(target, avoid):
                    continue  # the link shows the open mode
                facts = os.stat(link)
            except OSError:
                continue
            if stat.S_ISREG(facts.st_mode):
                seen.add((facts.st_dev, facts.st_ino))
    return seen


def _stale(detail, found, data):
    if found.unreadable:
        return unknown("unreadable", "%s; a newer one may lie in %s" % (detail, found.unreadable[0]))
    if data.get("being_written"):
        return bad("being_written", "%s; a newer one is still being written" % detail)
    return bad("stale", detail)


def _check_size(newest, least):
    if newest.size == 0:
        raise bad("empty", "the file has no bytes")
    if newest.size < least:
        raise bad("too_small", "%d bytes, at least %d are asked for" % (newest.size, least))


def _read(newest, budget, data, wanted):
    """Read the copy to its end; afterwards it must still be the file that it was."""
    try:
        found = _examined(newest, budget, wanted)
    except OSError as error:
        raise unknown("unreadable", "%s: %s" % (text(newest.path), error.strerror)) from error
    except streams.Damaged as error:
        raise _unless_written(newest, bad("damaged", "%s: %s" % (newest.name, error))) from error
    except streams.Empty as error:
        raise bad("empty", "%s: %s" % (newest.name, error)) from error
    if _differs(newest.path, newest.facts):
        raise _unless_written(newest, None)
    data["level"] = found.pop("level")
    data["notes"] += [note for note in (found.pop("note"), found.pop("remark", "")) if note]
    data["evidence"].update((key, value) for key, value in found.items() if value not in ("", None))
    _check_names(found, data["level"], wanted)


def _examined(newest, budget, wanted):
    """What was seen by reading it; raises OSError, Damaged or Empty."""
    if newest.folder:
        return pgfolder.examine(newest.folder, budget, wanted)
    descriptor = opening.open_file(newest.path)
    try:
        claims = archives.claimed(newest.path, newest.name)
        return archives.examine(descriptor, newest.name, budget, claims, wanted)
    finally:
        os.close(descriptor)


def _check_names(found, level, wanted):
    """What must be in it was seen; what was read in part, or not at all, is not known."""
    missing = ", ".join(wanted.missing())
    if missing and level == "readable" and found.get("whole"):
        raise bad("wrong_content", "nothing in it fits %s" % missing)
    if missing and found["content"]:
        raise unknown("over_cap", "in the part that could be read nothing fits %s" % missing)
    if missing:
        raise unknown("lacks", "its format does not show whether %s is in it" % missing)


def _compare(newest, same, budget, data):
    """Whether the copy before it has the very same bytes: then nothing changed, or nothing new was backed up."""
    before = next((copy for copy in same if copy.size == newest.size <= SAME_BYTES), None)
    if before is None or before.folder or newest.folder:
        return
    try:
        if _same_bytes(newest.path, before.path, budget):
            data["notes"].append("byte for byte the same as %s, the copy before it" % before.name)
    except (OSError, streams.Spent, streams.Damaged):
        return


def _same_bytes(path, other, budget):
    descriptors = []
    try:
        for one in (path, other):
            descriptors.append(opening.open_file(one))
        first, second = [streams.chunks_of(descriptor, budget) for descriptor in descriptors]
        return all(piece == next(second, None) for piece in first)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _unless_written(newest, verdict):
    if verdict is None or _differs(newest.path, newest.facts):
        return bad("being_written", "%s changed while it was read" % newest.name)
    return verdict
