"""Which of the names that must be in a backup were seen in it: paths, tables, databases."""

import fnmatch
import re

from ..frames import text


class Wanted:
    """Globs of which each must fit a name; `*` fits any part of a name, slashes and dots too."""

    def __init__(self, globs=()):
        self._left = {glob: re.compile(fnmatch.translate(glob), re.DOTALL) for glob in globs}

    def __bool__(self):
        return bool(self._left)

    def saw(self, *names):
        """Take note of the names of one thing; bytes or text."""
        if not self._left:
            return
        for name in names:
            word = text(name) if isinstance(name, bytes) else name
            for glob in [glob for glob, pattern in self._left.items() if pattern.match(word)]:
                del self._left[glob]

    def missing(self):
        """The globs that no name has fitted so far."""
        return sorted(self._left)


def path_of(name):
    """A path in an archive without what stands before it: `./` and `/`."""
    while name[:2] == b"./":
        name = name[2:]
    return name.strip(b"/")
