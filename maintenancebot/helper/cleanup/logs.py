"""Which files of a cleanup task are due, and how many stay for which reason; part of `cleanup`. Writes nothing."""

import os
import time

from .. import frames
from ..files import globs, inodes, walk
from ..files.tree import Tree
from ..host import deleted
from ..results import Result
from .judge import Entry, Judge, Surroundings

EXAMPLES = 5
DELETED = 20


def probe(args, out):
    """Stream a `candidate` for each file that is due, at most `limit` per pattern; count what stays.

    args: patterns [{path, retention_days, compress, exclude, links}], allow, protect, limit, and now if it is not this
    host's clock, by which the file system dates its files.
    """
    if os.geteuid() != 0:
        return Result("skipped", "needs_root", "who has a file open can only be seen as root")
    search = Search(args, out)
    for pattern in args["patterns"]:
        search.pattern(pattern)
    return Result(facts=search.facts())


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
        anchor = judge.anchor(self._args["allow"])
        if not anchor:
            row["reason"] = "not_allowed"
            return
        tree = Tree(judge.glob, anchor, self._around.mountpoints, self._out.alive)
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
        managed, held = self._around.managed, self._around.users.deleted_open
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
            "deleted_open": held[:DELETED],
            "deleted_open_totals": deleted.totals(held)[:DELETED],
        }

    def _judge(self, judge, row, root, found):
        folder, folder_path, name, looked = found
        entry = Entry(folder, frames.text(folder_path.rstrip(b"/") + b"/" + name), name, looked)
        try:
            reason = judge.reason(entry, full=row["due"] >= self._args["limit"])
            more = {"link": frames.text(os.readlink(name, dir_fd=folder))} if entry.is_link() and not reason else {}
        except OSError as error:  # one bad entry never ends the walk
            reason = walk.reason_of(error)
        key = looked.st_dev << 64 | looked.st_ino
        if reason:
            self._keep(reason, entry.path)
        elif key not in self._seen:  # an earlier pattern may have it
            self._seen.add(key)
            row["due"] += 1
            self._report(judge, root, entry, more)

    def _report(self, judge, root, entry, more):
        self._out.finding(
            "candidate",
            entry.path,
            identity=dict(inodes.values(entry.looked), path=entry.path, root=root),
            compress=judge.compress,
            pattern=judge.glob.text,
            allocated=entry.looked.st_blocks * 512,
            **more,
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
