"""Step `backups.try_restore`: bring a backup into a fresh folder, compare what came with its own list, remove it again.

Nothing that lives is written over: the folder is ours, has our mark, and goes with all that is in it. One that a trial
which was killed left behind goes with the next.
"""

import os
import stat
import time

from ..files import opening, walk
from ..frames import raw, text
from ..host import tools
from ..results import outcome, outcomes
from . import archives, borg, repository, restic, scratch, streams, unpack
from .verdicts import Verdict, bad, unknown

SECONDS = 3600
BLOCK = 4096
"""An entry takes at least that much."""


def try_restore(step, out):
    """Each change names a `type`, the exact copy, and the `folder`; args: `source` as for a look, `max_bytes`."""
    if os.geteuid() != 0:
        return outcomes(step["changes"], "skipped", "needs_root")
    return [_try(change, step["args"], out) for change in step["changes"]]


def _try(change, args, out):
    what = change["object"]
    cleared = []
    try:
        cleared = scratch.clear(what["folder"])
        return _measured(change, args, out, cleared)
    except Verdict as verdict:
        state = "failed" if verdict.verdict == "bad" else "unknown"
        reason = "restore_failed" if verdict.verdict == "bad" else verdict.reason
        return outcome(change["id"], state, reason, verdict.detail, cleared=cleared)
    except walk.Refused as error:
        return outcome(change["id"], "skipped", error.reason, error.detail, cleared=cleared)
    except streams.Spent as error:
        return outcome(change["id"], "skipped", "over_cap", str(error), cleared=cleared)
    except streams.Lacking as error:
        return outcome(change["id"], "skipped", "lacks", str(error), cleared=cleared)
    except (streams.Damaged, streams.Empty, ValueError, OverflowError) as error:  # tarfile stumbles too
        return outcome(change["id"], "failed", "restore_failed", str(error), cleared=cleared)
    except OSError as error:
        return outcome(change["id"], "failed", "restore_failed", error.strerror or str(error), cleared=cleared)


def _measured(change, args, out, cleared):
    what, began = change["object"], time.monotonic()
    budget = streams.Budget(args["max_bytes"] * 2 + 2, tools.time_for(SECONDS), out, "trying a restore")
    way = WAYS[what["type"]](what, args, budget)
    try:
        size, entries = way.size()
        _check_room(what["folder"], size, entries, args["max_bytes"])
        area = scratch.make(what["folder"], change["id"])
        try:
            way.restore(area)
        finally:
            area.remove()
    finally:
        way.close()
    return outcome(
        change["id"], "done", "verified", "%d entries, %d bytes came back as they are listed" % (entries, size),
        level="restored", entries=entries, bytes=size, seconds=int(time.monotonic() - began), cleared=cleared,
    )  # fmt: skip


def _check_room(folder, size, entries, most):
    """Raises Refused when it is more than may be tried, or would leave too little on the file system."""
    if size > most:
        raise walk.Refused("over_cap", "it unpacks to %d bytes, at most %d are tried" % (size, most))
    found = os.statvfs(folder)
    needed = size + entries * BLOCK + unpack.SPARE_BYTES
    available = found.f_bavail * found.f_frsize
    if available < needed:
        raise walk.Refused("no_space", "%d bytes are needed in %s, %d are free" % (needed, folder, available))
    if found.f_files and found.f_favail < entries + unpack.SPARE_INODES:
        raise walk.Refused("no_space", "%d inodes are needed in %s" % (entries + unpack.SPARE_INODES, folder))


class _File:
    """A backup file: unpacked by our own hand."""

    def __init__(self, what, args, budget):
        path = raw(what["path"])
        self._name, self._budget = text(os.path.basename(path)), budget
        try:
            self._fd = opening.open_file(path)
        except OSError as error:
            raise walk.Refused(walk.reason_of(error), text(path)) from error
        facts = os.fstat(self._fd)
        seen = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if seen != tuple(what[key] for key in ("dev", "ino", "size", "mtime_ns")):
            os.close(self._fd)
            raise walk.Refused("changed_since", text(path))
        self._most = args["max_bytes"]

    def close(self):
        os.close(self._fd)

    def size(self):
        """Bytes and entries, by reading it to its end."""
        budget = streams.Budget(self._most, self._budget.seconds(), self._budget.out, "reading the backup")
        self._listed = archives.examine(self._fd, self._name, budget)
        if self._listed["level"] != "readable":
            raise walk.Refused("over_cap" if "more bytes" in self._listed["note"] else "lacks", self._listed["note"])
        return self._listed["bytes"], self._listed.get("files", 1)

    def restore(self, area):
        """Unpack it and compare with what its own list said."""
        made = unpack.unpack(self._fd, self._name, self._listed["format"], area.fd, self._budget)
        listed = self._listed
        if "files" in listed:
            if made["files"] != listed["files"]:
                raise bad("restore_failed", "%d of %d files came back" % (made["files"], listed["files"]))
            return
        again = unpack.counted(area.fd, self._name, self._budget)
        for key in ("content", "entries", "filled", "bytes"):
            if again.get(key) != listed.get(key):
                told = (key, again.get(key), listed.get(key))
                raise bad("restore_failed", "%s of the restored dump is %s, not %s" % told)


class _Tool:
    """A snapshot or an archive: brought back by the tool that made it."""

    def __init__(self, what, args, budget):
        self._what, self._budget = what, budget
        self._tool = self.tool(args["source"], budget)

    def close(self):
        """Nothing is held open."""

    def restore(self, area):
        """Let the tool restore, then count what is there."""
        argv, env = self.command(area)
        answer = tools.run(
            repository.patient(argv, self._budget.seconds()), self._budget.out, self._budget.seconds(),
            getattr(self._tool, "stdin", b""), dict(self._tool.env, TMPDIR=os.fsdecode(area.beside), **env),
        )  # fmt: skip
        if answer.timed_out:
            raise unknown("timeout", "the restore did not end in time")
        if answer.code != 0:
            raise bad("restore_failed", answer.error())
        entries, sizes = _counted(area.fd)
        size, listed = self._size  # more entries are folders above that came too
        if size not in sizes or (entries < listed and entries < listed - self.left_out()):
            told = (entries, listed, max(sizes), size)
            raise bad("restore_failed", "%d of %d entries, %d of %d bytes came back" % told)

    def left_out(self):
        """How many entries the tool lists and does not restore."""
        return 0


class _Restic(_Tool):
    tool = restic.Restic

    def size(self):
        self._size = restic.measured(self._tool, self._what["snapshot"])
        return self._size

    def command(self, area):
        target = os.fsdecode(area.path)
        return self._tool.argv("restore", self._what["snapshot"], "--target", target, "--verify"), {}

    def left_out(self):
        lines = self._tool.lines("ls", "--json", self._what["snapshot"])
        return sum('"type":"socket"' in line for line in lines)


class _Borg(_Tool):
    tool = borg.Borg

    def size(self):
        ids = [one["id"] for one in self._tool.archives() if one["name"] == self._what["archive"]]
        if ids != [self._what["id"]]:
            raise walk.Refused("changed_since", "archive %s is another one now" % self._what["archive"])
        self._size = self._tool.measured(self._what["archive"])
        return self._size

    def command(self, area):
        argv = self._tool.argv("extract", "::" + self._what["archive"])
        beside = os.path.join(os.fsdecode(area.beside), "borg")
        return [repository.program("env"), "-C", os.fsdecode(area.path), *argv], {"BORG_BASE_DIR": beside}


WAYS = {"files": _File, "restic": _Restic, "borg": _Borg}


def _counted(top):
    """Entries below an open folder, and the bytes of its files, each inode once and each name once."""
    entries = once = every = 0
    seen = set()
    for _, folders, files, fd in os.fwalk(".", dir_fd=top, follow_symlinks=False):
        entries += len(folders) + len(files)
        for name in files:
            facts = os.lstat(name, dir_fd=fd)
            if stat.S_ISREG(facts.st_mode):
                every += facts.st_size
                once += 0 if facts.st_ino in seen else facts.st_size
                seen.update([facts.st_ino] if facts.st_nlink > 1 else [])
    return entries, (once, every)


def recall(change):
    """A trial leaves nothing but, when it was killed, its folder."""
    what = change["object"]
    left = [text(name) for name, mark in scratch.leftovers(what["folder"]) if mark == change["id"]]
    if left:
        told = "broken off; %s/%s goes with the next trial" % (what["folder"], left[0])
        return outcome(change["id"], "failed", "restore_failed", told)
    return outcome(change["id"], "nothing", "not_started", "no trace of it; it is tried again when it is due")
