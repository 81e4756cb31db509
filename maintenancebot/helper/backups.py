"""Looks at file backups: the newest copy of each source, its age, its size, its content read to the end.

Nothing is written, restored or unpacked to disk. What could not be looked at is `unknown`, never `ok`.
"""

import os
import stat
import time

from . import archives, copies, opening, streams, usage
from .frames import text
from .results import Result

HISTORY = 10
SHRUNK = 0.1
RECENT = 600
LOOK_APART = 0.5
SOURCE_BYTES = 20 * 1024**3
SOURCE_SECONDS = 60
ALL_SECONDS = 180


class Verdict(Exception):
    """A verdict that ends the look at one source."""

    def __init__(self, verdict, reason, detail=""):
        self.verdict, self.reason, self.detail = verdict, reason, detail
        Exception.__init__(self, detail)


def bad(reason, detail):
    """The backup is not what it should be."""
    return Verdict("bad", reason, detail)


def unknown(reason, detail):
    """The backup could not be looked at."""
    return Verdict("unknown", reason, detail)


def probe(args, out):
    """Report one finding per source: verdict, reason, level reached and what was seen.

    `args`: sources, max_age_hours, and optionally `now` and the limits `source_bytes`, `source_seconds`, `all_seconds`.
    """
    now = args.get("now") or time.time()
    end = time.monotonic() + args.get("all_seconds", ALL_SECONDS)
    for number, source in enumerate(args["sources"]):
        seconds = min(args.get("source_seconds", SOURCE_SECONDS), end - time.monotonic())
        budget = streams.Budget(args.get("source_bytes", SOURCE_BYTES), seconds, out, "reading backups")
        data = check(source, now, args["max_age_hours"], budget)
        out.finding("backup", source.get("name") or source["path"], source=number, **data)
    return Result()


def check(source, now, max_age_hours, budget):
    """Everything known of one source as plain data."""
    data = {"path": source["path"], "level": "none", "evidence": {}, "others": [], "links": [], "notes": []}
    try:
        _check(source, now, max_age_hours * 3600.0, budget, data)
        data.update(verdict="ok", reason="fresh", detail="")
    except Verdict as verdict:
        data.update(verdict=verdict.verdict, reason=verdict.reason, detail=verdict.detail)
    return data


def _check(source, now, max_age, budget, data):
    found = copies.find(source["path"])
    listed = copies.distinct(found.copies)
    data["links"] = [_said_link(link, max_age, now) for link in found.links[:HISTORY]]
    _notes(found, listed, now, data)
    if not listed:
        raise _nothing(found)
    _check_future(listed, now)
    newest = _newest_settled(listed, data)
    data["level"], data["evidence"] = "exists", newest.said(now)
    data["evidence"]["time_from"] = newest.time_from
    same = [copy for copy in listed if copy is not newest and copy.series == newest.series]
    data["others"] = [copy.said(now) for copy in same[:HISTORY]]
    if now - newest.time > max_age:
        raise _stale(newest, now, max_age, found, data)
    _check_links(found.links, max_age, now)
    data["level"] = "fresh"
    _check_size(newest, same[:HISTORY], source.get("min_bytes", 1))
    data["level"] = "size"
    _read(newest, budget, data)


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
    series = {}
    for copy in listed:
        series.setdefault(copy.series, copy)
    if len(series) > 1:
        data["series"] = [copy.said(now) for copy in list(series.values())[:HISTORY]]
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


def _stale(newest, now, max_age, found, data):
    detail = "the newest copy is %.1f hours old by %s, more than %g are not allowed" % (
        (now - newest.time) / 3600.0,
        newest.time_from,
        max_age / 3600.0,
    )
    if found.unreadable:
        return unknown("unreadable", "%s; a newer one may lie in %s" % (detail, found.unreadable[0]))
    if data.get("being_written"):
        return bad("being_written", "%s; a newer one is still being written" % detail)
    return bad("stale", detail)


def _check_size(newest, same, least):
    if newest.size == 0:
        raise bad("empty", "the file has no bytes")
    if newest.size < least:
        raise bad("too_small", "%d bytes, at least %d are asked for" % (newest.size, least))
    sizes = sorted(copy.size for copy in same)
    if sizes and newest.size < SHRUNK * sizes[len(sizes) // 2]:
        raise bad("too_small", "%d bytes, the copies before it had %d" % (newest.size, sizes[len(sizes) // 2]))


def _read(newest, budget, data):
    """Read the copy to its end; afterwards it must still be the file that it was."""
    try:
        descriptor = opening.open_file(newest.path)
    except OSError as error:
        raise unknown("unreadable", "%s: %s" % (text(newest.path), error.strerror)) from error
    try:
        claims = archives.claimed(newest.path, newest.name)
        found = archives.examine(descriptor, newest.name, budget, claims)
    except streams.Damaged as error:
        raise _unless_written(newest, bad("damaged", "%s: %s" % (newest.name, error))) from error
    except streams.Empty as error:
        raise bad("empty", "%s: %s" % (newest.name, error)) from error
    finally:
        os.close(descriptor)
    if _differs(newest.path, newest.facts):
        raise _unless_written(newest, None)
    data["level"] = found.pop("level")
    if found["note"]:
        data["notes"].append(found.pop("note"))
    data["evidence"].update((key, value) for key, value in found.items() if value not in ("", None))


def _unless_written(newest, verdict):
    if verdict is None or _differs(newest.path, newest.facts):
        return bad("being_written", "%s changed while it was read" % newest.name)
    return verdict
