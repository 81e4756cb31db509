"""Walks a tree by folder descriptors: never through a link, never over a mount of any kind, in bounded memory."""

import errno
import os
import stat
import time

from .. import frames
from . import walk

PENDING_BYTES = 24 * 1024 * 1024
"""Memory for the names of folders that a walk still has to enter, about 250,000 of them; the rest is `over_cap`."""
NAME_BYTES = 48
"""What a name takes besides its own bytes."""


class Tree:
    """One walk below a pattern's static root; counts what it passes, yields what the pattern matches."""

    def __init__(self, glob, anchor, mountpoints, alive=None):
        self.files = 0
        self.bytes = 0
        self.mounts = []  # paths that were not entered
        self.troubles = {}  # reason -> how many folders could not be entered
        self._glob = glob
        self._anchor = anchor
        self._mounted = {}  # folder -> names in it that are mount points
        for path in mountpoints:
            folder, _, name = path.rpartition(b"/")
            self._mounted.setdefault(folder or b"/", set()).add(name)
        self._alive = alive
        self._pending = 0
        self._spoke = time.monotonic()

    def matches(self):
        """Yield (folder descriptor, folder path, name, lstat) for each entry that matches and is no folder.

        The descriptor is good until the next one is asked for. Raises Refused when the start cannot be reached.
        """
        parts = [frames.raw(part) for part in self._glob.static]
        fd, _ = walk.descend(parts, self._anchor)
        stack = [_Level(fd, walk.join(parts), self._glob.start(self._glob.static))]
        mount = walk.mount_id(fd)
        try:
            while stack:
                level = stack[-1]
                if level.folders is None:
                    level.folders = {}
                    for found in self._read(level):
                        yield found
                elif not level.folders:
                    os.close(stack.pop().fd)
                else:
                    inner = self._below(level, mount, len(stack))
                    if inner is not None:
                        stack.append(inner)
        finally:
            for level in stack:
                os.close(level.fd)

    def _read(self, level):
        mounted = self._mounted.get(level.path, ())
        for name in self._names(level):
            self._speak()
            if name in mounted:  # not even looked at: that alone may wake an automount or hang on a dead server
                self._pass_by(level, name)
                continue
            try:
                facts = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
            except OSError:
                continue  # gone while we looked
            if stat.S_ISDIR(facts.st_mode):
                self._remember(level, name)
                continue
            if stat.S_ISREG(facts.st_mode):
                self.files += 1
                self.bytes += facts.st_blocks * 512
            if self._glob.accepts(level.states, frames.text(name)):
                yield level.fd, level.path, name, facts

    def _pass_by(self, level, name):
        if self._glob.enter(level.states, frames.text(name)):
            self.mounts.append(level.below(name))

    def _remember(self, level, name):
        states = self._glob.enter(level.states, frames.text(name))
        if not states or name.startswith(walk.OWN_PREFIX):
            return
        if self._pending > PENDING_BYTES:
            self._trouble("over_cap")
            return
        self._pending += len(name) + NAME_BYTES
        level.folders.setdefault(states, []).append(name)

    def _names(self, level):
        try:
            for name in walk.names(level.fd):
                yield name
        except OSError as error:  # what was read counts
            self._trouble(walk.reason_of(error))

    def _below(self, level, mount, depth):
        name, states = level.take()
        self._pending -= len(name) + NAME_BYTES
        path = level.below(name)
        if depth >= walk.MAX_DEPTH:
            self._trouble("over_cap")
            return None
        try:
            return _Level(walk.open_inside(name, level.fd, mount=mount), path, states)
        except OSError as error:
            if error.errno == errno.EXDEV:
                self.mounts.append(path)
            elif error.errno != errno.ENOENT:
                self._trouble(walk.reason_of(error))
            return None

    def _trouble(self, reason):
        self.troubles[reason] = self.troubles.get(reason, 0) + 1

    def _speak(self):
        if self._alive is not None and time.monotonic() - self._spoke > walk.ALIVE_SECONDS:
            self._alive("walking")
            self._spoke = time.monotonic()


class _Level:
    """An open folder of a walk; `folders`, names still to be entered by the states of the match, is None until read."""

    __slots__ = ("fd", "folders", "path", "states")

    def __init__(self, fd, path, states):
        self.fd = fd
        self.path = path
        self.states = states
        self.folders = None

    def below(self, name):
        """The path of a name in it."""
        return self.path.rstrip(b"/") + b"/" + name

    def take(self):
        """Take one folder out: (name, states)."""
        states = next(iter(self.folders))
        names_left = self.folders[states]
        name = names_left.pop()
        if not names_left:
            del self.folders[states]
        return name, states
