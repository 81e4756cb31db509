"""Probe operation `logs`: which files of a cleanup task are due, and how many stay for which reason. Writes nothing."""

import os
import re
import stat
import time

from . import exempt, facts, frames, globs, inodes, logrotate, untouchable, usage, walk
from .results import Result

PACKED = re.compile(r"\.(gz|xz|zst|bz2|lz4|lzma|Z|tgz|zip)$")
EXAMPLES = 5
OLDEST = 315532800  # 1980: before Linux, so the clock or a tool was wrong
FUTURE_SECONDS = 300
NAME_MAX = 255


def probe(args, out):
    """Stream a `candidate` for each file that is due, at most `limit` per pattern; count what stays.

    args: patterns [{path, retention_days, compress, exclude}], allow, protect, limit, and now if it is not this host's
    clock, by which the file system dates its files.
    """
    if os.geteuid() != 0:
        return Result("skipped", "needs_root", "who has a file open can only be seen as root")
    search = Search(args, out)
    for pattern in args["patterns"]:
        search.pattern(pattern)
    return Result(facts=search.facts())


class Surroundings:
    """What a file is judged by besides itself, read once per probe."""

    def __init__(self, now):
        rows = facts.mount_table()
        self.users = usage.Users().scan()
        self.managed = logrotate.read(now=now)
        self.exempt = exempt.keys(now)
        self.mountpoints = frozenset(row["path"] for row in rows)
        self.fs_types = {row["id"]: row["type"] for row in rows}


class Search:
    """All patterns of one task."""

    def __init__(self, args, out):
        self._out = out
        self._args = args
        self._now = args.get("now") or time.time()
        self._around = Surroundings(self._now)
        self._protect = [globs.Rule(text) for text in args["protect"]]
        self._seen = set()
        self._trees = {}
        self._kept = {}
        self._examples = {}
        self._mounts = set()
        self._patterns = []

    def pattern(self, pattern):
        """Walk one pattern; what cannot be walked is a fact and never ends the others."""
        judge = Judge(pattern, self._protect, self._around, self._now)
        row = {"path": pattern["path"], "matched": 0, "due": 0, "reason": ""}
        self._patterns.append(row)
        anchor = globs.inside([*judge.glob.static, "."], self._args["allow"])
        if not anchor:
            row["reason"] = "not_allowed"
            return
        tree = walk.Tree(judge.glob, anchor, self._around.mountpoints, self._out.alive)
        try:
            for found in tree.matches():
                row["matched"] += 1
                self._judge(judge, row, "/" + "/".join(judge.glob.parts[:anchor]), found)
        except walk.Refused as error:
            row["reason"] = "missing" if error.reason == "vanished" else error.reason
            row["detail"] = error.detail
        self._count(judge, tree)

    def facts(self):
        """Counts for the plan; bounded whatever the host holds."""
        trees = [counts for root, counts in self._trees.items() if not self._inside_another(root)]
        managed = self._around.managed
        return {
            "matched": sum(row["matched"] for row in self._patterns),
            "due": sum(row["due"] for row in self._patterns),
            "kept": self._kept,
            "examples": self._examples,
            "patterns": self._patterns,
            "mounts_skipped": sorted(frames.text(path) for path in self._mounts)[:50],
            "tree_files": sum(counts[0] for counts in trees),
            "tree_bytes": sum(counts[1] for counts in trees),
            "logrotate_problems": managed.problems[:10],
        }

    def _judge(self, judge, row, root, found):
        folder, folder_path, name, looked = found
        path = frames.text(folder_path.rstrip(b"/") + b"/" + name)
        try:
            reason = judge.reason(folder, path, name, looked, full=row["due"] >= self._args["limit"])
        except OSError as error:  # one bad entry never ends the walk
            reason = walk.reason_of(error)
        key = (looked.st_dev, looked.st_ino)
        if reason:
            self._keep(reason, path)
        elif key not in self._seen:  # an earlier pattern may have it
            self._seen.add(key)
            row["due"] += 1
            self._report(judge, root, path, looked)

    def _report(self, judge, root, path, looked):
        identity = dict(inodes.values(looked), path=path, root=root)
        self._out.finding(
            "candidate",
            path,
            identity=identity,
            compress=judge.compress,
            pattern=judge.glob_text,
            allocated=looked.st_blocks * 512,
        )

    def _keep(self, reason, path, count=1):
        self._kept[reason] = self._kept.get(reason, 0) + count
        examples = self._examples.setdefault(reason, [])
        if len(examples) < EXAMPLES:
            examples.append(path)

    def _count(self, judge, tree):
        root = tuple(judge.glob.static)
        files, size = self._trees.get(root, (0, 0))
        self._trees[root] = (max(files, tree.files), max(size, tree.bytes))
        self._mounts.update(tree.mounts[:50])
        for path in tree.mounts:
            self._keep("other_file_system", frames.text(path))
        for reason, count in tree.troubles.items():
            self._keep(reason, "/" + "/".join(root), count)

    def _inside_another(self, root):
        return any(root != other and root[: len(other)] == other for other in self._trees)


class Judge:
    """The rules of one pattern for one file, cheapest first; the first that keeps it gives the reason."""

    def __init__(self, pattern, protect, around, now):
        self.glob_text = pattern["path"]
        self.glob = globs.Glob(pattern["path"])
        self.compress = bool(pattern.get("compress"))
        self._age = pattern["retention_days"] * 86400
        self._exclude = [globs.Rule(text, len(self.glob.static)) for text in pattern.get("exclude", ())]
        self._protect = protect
        self._around = around
        self._now = now

    def reason(self, folder, path, name, looked, full):
        """Why the file stays, or an empty string when it is due. `full`: the plan's list is, so nothing is opened."""
        return (
            self._kind(looked)
            or self._time(looked)
            or self._rules(path, name)
            or self._known(path, looked)
            or self._target(folder, name)
            or ("over_cap" if full else self._use(folder, name, looked))
        )

    def _kind(self, looked):
        if stat.S_ISLNK(looked.st_mode):
            return "symlink"
        if not stat.S_ISREG(looked.st_mode) or looked.st_mode & stat.S_ISVTX:  # sticky: somebody marked it on purpose
            return "special"
        return "hard_linked" if looked.st_nlink != 1 else ""

    def _rules(self, path, name):
        parts = globs.components(path)
        found = untouchable.reason(parts)
        if found:
            return found
        if any(rule.keeps(parts) for rule in self._protect):
            return "protected"
        if any(rule.keeps(parts) for rule in self._exclude):
            return "kept"
        return "up_to_date" if self.compress and PACKED.search(frames.text(name)) else ""

    def _time(self, looked):
        for moment in (looked.st_mtime, looked.st_ctime):
            if moment < OLDEST or moment > self._now + FUTURE_SECONDS:
                return "time_implausible"
        return "too_young" if self._now - max(looked.st_mtime, looked.st_ctime) < self._age else ""

    def _known(self, path, looked):
        if self._around.managed.holds(path):
            return "logrotate_managed"
        return "restored" if exempt.key(looked) in self._around.exempt else ""

    def _target(self, folder, name):
        if not self.compress:
            return ""
        if len(name) + 3 > NAME_MAX:
            return "name_too_long"
        try:
            os.stat(name + b".gz", dir_fd=folder, follow_symlinks=False)
        except OSError:
            return ""
        return "target_exists"

    def _use(self, folder, name, looked):
        used = self._around.users.reason(looked)
        if used in ("locked", "in_use"):
            return used
        if usage.is_shared(self._around.fs_types.get(walk.mount_id(folder), "")):
            return "use_unknown"
        try:
            fd = inodes.open_exact(folder, name, inodes.values(looked))
        except walk.Refused as error:
            return error.reason
        try:
            if inodes.attributes(fd):
                return "immutable"
            return usage.in_doubt(fd) if used else ""
        finally:
            os.close(fd)
