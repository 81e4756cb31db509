"""Probe operation `explain`: why one path would go or stay, rule by rule, for each pattern. Writes nothing.

The rules are those of `judge.Judge`, which the probe asks for each file; here every one of them is asked and told.
"""

import os
import time

from .. import frames
from ..files import globs, walk
from ..host import usage
from ..results import Result
from . import explain_words
from .judge import Entry, Judge, Surroundings


def probe(args, out):
    """Stream an `explanation` with rows and verdict {goes, action, pattern, reason} for each pattern.

    args: path, patterns as in `logs.probe` with the `task` that each belongs to, allow, protect, now.
    """
    if os.geteuid() != 0:
        return Result("skipped", "needs_root", "who has a file open can only be seen as root")
    now = args.get("now") or time.time()
    looked = walk.lstat(args["path"])
    around = Surroundings(now, usage.key(looked) if looked else None)
    protect = [globs.Rule(text) for text in args["protect"]]
    for pattern in args["patterns"]:
        told = Explanation(args["path"], Judge(pattern, protect, around, now), args["allow"]).tell()
        out.finding("explanation", pattern["path"], task=pattern["task"], rows=told.rows, verdict=told.verdict())
    return Result()


class Explanation:
    """What the rules of one pattern say of one path: `rows` of {rule, passes, reason, detail}.

    `passes` is None for what was not reached, or cannot be told.
    """

    def __init__(self, path, judge, allow):
        self.rows = []
        self._judge = judge
        self._parts = globs.components(path)
        self._path = "/" + "/".join(self._parts)
        self._raw = [frames.raw(part) for part in self._parts]
        self._anchor = judge.anchor(allow)

    def tell(self):
        """Ask everything; returns itself."""
        entry = None
        if self._allowed() and self._matches() and self._way():
            entry = self._entry()
        try:
            for name, rule in self._judge.rules:
                self._ask(name, rule, entry)
        finally:
            if entry is not None:
                entry.close()
                os.close(entry.folder)
        return self

    def verdict(self):
        """Whether it goes by this pattern, how, or why not."""
        reason = next((row["reason"] for row in self.rows if row["reason"]), "")
        action = "" if reason else "compress_file" if self._judge.compress else "quarantine_file"
        return {"goes": not reason, "action": action, "pattern": self._judge.glob.text, "reason": reason}

    def _say(self, rule, reason, detail):
        passes = None if reason == "use_unknown" else not reason
        self.rows.append({"rule": rule, "passes": passes, "reason": reason, "detail": detail})
        return not reason

    def _allowed(self):
        tree = "/" + "/".join(self._judge.glob.parts[: self._anchor])
        if self._anchor:
            return self._say("allowed_tree", "", "the pattern lies in %s" % tree)
        return self._say("allowed_tree", "not_allowed", "the pattern lies in no tree of deletion.allow")

    def _matches(self):
        glob = self._judge.glob
        matches = glob.accepts(glob.start(self._parts[:-1]), self._parts[-1])
        return self._say("pattern", "" if matches else "no_match", glob.text)

    def _way(self):
        """Each folder on the way, as a walk opens it."""
        for depth in range(1, len(self._raw)):
            shown = walk.show(self._raw[:depth])
            try:
                fd, _ = walk.descend(self._raw[:depth], self._anchor)
            except walk.Refused as error:
                return self._say("way", error.reason, error.detail or shown)
            os.close(fd)
            if depth - len(self._judge.glob.static) >= walk.MAX_DEPTH:
                return self._say("way", "over_cap", "%s is more than %d folders deep" % (shown, walk.MAX_DEPTH))
            self._say("way", "", "%s is a folder" % shown)
        return True

    def _entry(self):
        """The path as the walk would find it, None when there is nothing."""
        folder, name = None, self._raw[-1]
        try:
            folder, _ = walk.descend(self._raw[:-1], self._anchor)
            looked = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except (OSError, walk.Refused) as error:
            if folder is not None:
                os.close(folder)
            self._say("exists", *_trouble(error))
            return None
        self._say("exists", "", "%s is there" % self._path)
        return Entry(folder, self._path, name, looked)

    def _ask(self, name, rule, entry):
        if entry is None:
            self.rows.append({"rule": name, "passes": None, "reason": "", "detail": "not reached"})
            return
        try:
            reason, detail = rule(entry), explain_words.WORDS[name](self._judge, entry)
        except OSError as error:
            reason, detail = _trouble(error)
        self._say(name, reason, detail)


def _trouble(error):
    if isinstance(error, walk.Refused):
        return error.reason, str(error)
    return walk.reason_of(error), error.strerror or ""
