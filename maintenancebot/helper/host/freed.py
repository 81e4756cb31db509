"""Measures what a change really freed, as the file system tells it."""

import os
import time

WAIT_SECONDS = 3
"""Some file systems give blocks back a moment after the last name has gone."""


class Meter:
    """Free bytes of an open folder's file system from now on."""

    def __init__(self, fd):
        self._fd = fd
        self._before = self._free()

    def freed(self, expected):
        """How much more is free now; waits a little while that is far from what is expected."""
        end = time.monotonic() + WAIT_SECONDS
        while True:
            found = self._free() - self._before
            if found >= expected // 2 or time.monotonic() >= end:
                return found
            time.sleep(0.1)

    def _free(self):
        found = os.fstatvfs(self._fd)
        return found.f_bfree * found.f_frsize


def verdict(freed, count, noun):
    """State, reason and detail of a removal that removed `count` objects: what is not measured is said."""
    if freed > 0:
        return "done", "verified", ""
    return "done", "no_effect", "%d %s went, but the file system shows no more free space" % (count, noun)
