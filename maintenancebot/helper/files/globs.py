"""Path patterns, component by component: `*`, `?` and `[...]` stay within one name, `**` is any number of folders.

The controller has the same rules in `policy/allowlist.py`; a test holds both together. Here they are asked again at
the moment of the change, on the host, so that a plan alone can never widen what may be touched.
"""

import fnmatch
import re

MAGIC = re.compile(r"[*?\[]")


def components(path):
    """The names of an absolute path; ValueError when it is relative or has `.`, `..` or NUL in it."""
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or "\0" in path or "." in parts or ".." in parts:
        raise ValueError("not a plain absolute path: %r" % path)
    return parts


def inside(parts, roots):
    """Number of components of the longest root that holds the path, 0 if none does."""
    best = 0
    for root in roots:
        outer = components(root)
        if outer and len(parts) > len(outer) > best and parts[: len(outer)] == outer:
            best = len(outer)
    return best


class Glob:
    """One pattern. The states of a match are positions in it, so that a walk carries them from folder to folder.

    `hidden` lets wildcards match names that start with a dot: right for what protects, wrong for what deletes.
    """

    def __init__(self, path, hidden=False):
        self.text = path
        self.parts = components(path)
        self._hidden = hidden
        self._tests = [None if part == "**" else _test(part) for part in self.parts]
        self._bare = [hidden or part.startswith(".") for part in self.parts]
        self._closed = {}  # answers of _close: each set of states once, however many folders share it

    @property
    def static(self):
        """The leading components without wildcards, never the last one: where a walk begins."""
        fixed = []
        for part in self.parts[:-1]:
            if MAGIC.search(part):
                break
            fixed.append(part)
        return fixed

    def start(self, parts):
        """The states after a path of plain components."""
        states = self._close({0})
        for part in parts:
            states = self.enter(states, part)
        return states

    def enter(self, states, name):
        """The states after one more component; empty when nothing below can match."""
        found = set()
        for index in states:
            if index == len(self.parts) or (name.startswith(".") and not self._bare[index]):
                continue
            if self._tests[index] is None:
                found.add(index)
            elif self._tests[index](name):
                found.add(index + 1)
        return self._close(found)

    def accepts(self, states, name):
        """Whether an entry of that name matches the whole pattern."""
        return len(self.parts) in self.enter(states, name)

    def covers(self, parts):
        """Whether the path, or a folder above it, matches."""
        states = self._close({0})
        for part in parts:
            states = self.enter(states, part)
            if len(self.parts) in states:
                return True
        return False

    def _close(self, states):
        key = frozenset(states)
        if key not in self._closed:
            self._closed[key] = frozenset(self._reachable(key))
        return self._closed[key]

    def _reachable(self, states):
        """The states with all that `**` lets be reached without a further component."""
        for index in states:
            yield index
            while index < len(self.parts) and self._tests[index] is None:
                index += 1
                yield index


class Rule:
    """What keeps a path: an absolute glob, or one relative to any folder from component `depth` on.

    A folder that is named keeps everything below it, and hidden names are matched too.
    """

    def __init__(self, text, depth=0):
        self.text = text
        self._depth = 0 if text.startswith("/") else depth
        self._glob = Glob(text if text.startswith("/") else "/**/" + text, hidden=True)

    def keeps(self, parts):
        """Whether the path is kept."""
        return self._glob.covers(parts[self._depth :])


def _test(part):
    if MAGIC.search(part):
        return re.compile(fnmatch.translate(part)).match
    return part.__eq__
