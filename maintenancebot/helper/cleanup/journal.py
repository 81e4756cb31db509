"""The systemd journal: which files are beyond what may stay; step `journal.vacuum` lets journalctl remove them."""

import binascii
import os
import re
import time
from functools import cmp_to_key

from .. import frames
from ..files import globs, walk
from ..host import facts, freed, tools
from ..results import outcome
from ..trash.steps import each

PLACES = ("/var/log/journal", "/run/log/journal")
FILES = 2000
LIMIT = 300
ARCHIVED = re.compile(r"^.+@(?P<id>[0-9a-f]{32})-(?P<number>[0-9a-f]{16})-(?P<time>[0-9a-f]{16})\.journal$")
DAMAGED = re.compile(r"^.+@(?P<time>[0-9a-f]{16})-[0-9a-f]{16}\.journal~$")
ACTIVE = re.compile(r"^(system|user-[0-9]+)\.journal$")
FILE_ID = slice(24, 40)
"""Where the header has what tells one journal file from all others, whatever its name."""


class File:
    """One file of a journal; `archived` files are never written again."""

    def __init__(self, folder, name, found):
        self.name = frames.text(name)
        self.ino = found.st_ino
        self.allocated = found.st_blocks * 512
        self.newest = max(found.st_mtime, found.st_ctime)
        match = ARCHIVED.match(self.name)
        damaged = match or DAMAGED.match(self.name)
        self.archived = damaged is not None
        self.active = ACTIVE.match(self.name) is not None
        self.source = (match.group("id"), int(match.group("number"), 16)) if match else None
        named = int(damaged.group("time"), 16) if damaged else 0
        self.realtime = min([named, *(int(t * 1e6) for t in (found.st_ctime, found.st_atime, found.st_mtime))])
        self.id = _file_id(folder, name)

    def row(self):
        """Its identity for a plan: name, inode, id, bytes, whether journald still writes it."""
        return [self.name, self.ino, self.id, self.allocated, self.active]

    def is_of(self, row):
        """Whether it is the file of a plan; one that was active then may have been archived since."""
        name, ino, file_id, _, active = row
        return bool(self.id) and (self.ino, self.id) == (ino, file_id) and (active or self.name == name)


def look(args, out):
    """Stream a finding `journal` for each folder with files beyond `keep_days` or `keep_bytes`; facts: its size."""
    limits, now = args["journal"], args.get("now") or time.time()
    places = []
    for path in _folders():
        try:
            folder = _open(path, args["protect"])
        except walk.Refused as error:
            if error.reason != "vanished":
                places.append({"folder": path, "reason": error.reason, "detail": error.detail})
            continue
        try:
            places.append(_look(path, folder, limits, now, out))
        finally:
            os.close(folder)
    return {"places": places}


def _look(path, folder, limits, now, out):
    found = files(folder)
    going = beyond(found, limits, now)[:FILES]
    if going:
        out.finding(
            "journal",
            path,
            folder=path,
            dev=os.fstat(folder).st_dev,
            files=[one.row() for one in going],
            allocated=sum(one.allocated for one in going),
        )
    archived = [one for one in found if one.archived]
    return {
        "folder": path,
        "bytes": sum(one.allocated for one in found),
        "archived": len(archived),
        "archived_bytes": sum(one.allocated for one in archived),
        "oldest": min(one.realtime for one in archived) // 10**6 if archived else None,
        "due": len(going),
    }


def files(folder):
    """All files of a journal."""
    found = []
    for name in walk.names(folder):
        if name.endswith((b".journal", b".journal~")):
            try:
                found.append(File(folder, name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
            except OSError:
                continue  # gone while we looked
    return found


def beyond(found, limits, now):
    """The oldest files, whole ones, until what stays is within the limits; counted as journalctl counts.

    By age only those go whose last entry is too old; journalctl would go by the first one.
    """
    total, going = sum(one.allocated for one in found), []
    for one in [*in_order(found), *sorted((f for f in found if f.active), key=lambda f: f.name)]:
        old = limits["keep_days"] and one.archived and one.newest < now - limits["keep_days"] * 86400
        if not old and not (limits["keep_bytes"] and total > limits["keep_bytes"]):
            break
        going.append(one)
        total -= one.allocated
    return going


def in_order(found):
    """The archived files in the order in which journalctl removes them."""
    return sorted((one for one in found if one.archived), key=cmp_to_key(_compare))


def _compare(one, other):
    if one.source and other.source and one.source[0] == other.source[0]:
        return one.source[1] - other.source[1]
    return (one.realtime > other.realtime) - (one.realtime < other.realtime) or (
        (one.name > other.name) - (one.name < other.name)
    )


def vacuum(step, out):
    """Step `journal.vacuum`: the files that the plan lists, by journalctl."""
    return each(step, out, _vacuum)


def _vacuum(change, args, out):
    wanted = change["object"]
    if wanted["folder"] not in _folders():
        raise walk.Refused("changed_since", "not the journal of this machine")
    folder = _open(wanted["folder"], args["protect"])
    try:
        if os.fstat(folder).st_dev != wanted["dev"]:
            raise walk.Refused("changed_since", "the folder lies on another file system now")
        return _apply(change["id"], wanted, folder, out)
    finally:
        os.close(folder)


def _apply(change_id, wanted, folder, out):
    meter = freed.Meter(folder)
    left = planned(files(folder), wanted["files"])
    if not left:
        raise walk.Refused("vanished", "journald removed them itself")
    if any(one.active for one in left):  # only then: a rotation takes room for new files
        _journalctl(["--rotate"], out)
    before = files(folder)
    going, staying = _split(before, wanted["files"])
    if not going:
        raise walk.Refused("in_use", "journald has not archived them")
    said = _journalctl(["--directory=" + wanted["folder"], "--vacuum-files=%d" % max(1, staying)], out)
    there = {one.id for one in files(folder)}
    gone = [one for one in before if one.archived and one.id not in there]
    extra = len({one.id for one in gone} - {one.id for one in going})
    return _told(change_id, gone, extra, len(wanted["files"]), meter, said)


def _told(change_id, gone, extra, count, meter, said):
    size = sum(one.allocated for one in gone)
    measured = meter.freed(size)
    figures = {"freed_now": measured, "freed_at_purge": 0, "files": len(gone), "bytes": size}
    if not gone:
        return outcome(change_id, "failed", "no_effect", "journalctl removed nothing; %s" % said, **figures)
    state, reason, detail = freed.verdict(measured, len(gone), "files")
    told = "%d of %d files, %d bytes" % (len(gone) - extra, count, size)
    if extra:
        told += ", %d of them in more files, since journald archived at that moment" % extra
    return outcome(change_id, state, reason, "; ".join(part for part in (told, detail) if part), **figures)


def planned(found, rows):
    """The files that a plan lists and that are still there."""
    by_ino = {row[1]: row for row in rows}
    return [one for one in found if one.ino in by_ino and one.is_of(by_ino[one.ino])]


def _split(found, rows):
    """(planned files that journalctl removes before any other, number of all files that stay).

    Told to leave that many, it removes these and no other; what it counts as bytes differs from version to version.
    """
    order = in_order(found)
    listed = {one.id for one in planned(found, rows)}
    count = 0
    while count < len(order) and order[count].id in listed:
        count += 1
    return order[:count], len(found) - count


def recall(change):
    """What became of a change whose outcome was never recorded; reads only."""
    wanted = change["object"]
    folder = _open(wanted["folder"], ())
    try:
        left = len(planned(files(folder), wanted["files"]))
    finally:
        os.close(folder)
    if not left:
        return outcome(change["id"], "done", "verified", "none of the files is there any more")
    if left == len(wanted["files"]):
        return outcome(change["id"], "skipped", "not_started", "found untouched")
    return outcome(change["id"], "unknown", "unfinished", "%d of %d files are left" % (left, len(wanted["files"])))


def _journalctl(words, out):
    """Run journalctl and return its complaint, empty when it has none. Raises Refused without it."""
    path = tools.find("journalctl")
    if path is None:
        raise walk.Refused("lacks", "journalctl is not on the host")
    answer = tools.run([path, "--no-pager", "--quiet", *words], out=out, limit=LIMIT)
    return "" if answer.ok else answer.error()


def _folders():
    machine = facts.machine_id()
    return [base + "/" + machine for base in PLACES] if re.match(r"^[0-9a-f]{32}$", machine) else []


def _open(path, protect):
    parts = globs.components(path)
    for text in protect:
        if globs.Rule(text).keeps(parts):
            raise walk.Refused("protected", "protected by %s" % text)
    return walk.descend([frames.raw(part) for part in parts], len(parts))[0]


def _file_id(folder, name):
    """The id in the header of a journal file; empty when it cannot be read."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | walk.O_NOATIME, dir_fd=folder)
    except OSError:
        return ""
    try:
        return binascii.hexlify(os.read(fd, FILE_ID.stop)[FILE_ID]).decode("ascii")
    finally:
        os.close(fd)
