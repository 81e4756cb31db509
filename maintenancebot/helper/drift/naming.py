"""Which processes name a file: on their command line, or in the script that they run."""

import os
import re

from .. import frames
from ..files import plain, walk
from ..host import writers
from ..packages import restarts
from . import drift_files

CAP = 64 << 10
WORDS = 4
"""Of a command line that may be the script: the interpreter and its options stand before it."""


def of(paths):
    """{path: [(Writer, how)]} for paths (text); this login's own processes are left out."""
    named = {path: [] for path in paths}
    shapes = [(path, frames.raw(path), re.compile(re.escape(frames.raw(path)) + rb"(?![\w./-])")) for path in paths]
    scripts = _Scripts()
    own = restarts.own_login() if paths else ()
    for pid in os.listdir("/proc") if paths else ():
        if pid.isdigit() and pid not in own:
            line = _command_line(pid)
            texts = (("whose command line names it", line), ("whose script names it", scripts.of(line)))
            for path, raw, shape in shapes:
                how = next((words for words, text in texts if raw in text and shape.search(text)), "")
                if how:
                    named[path].append((writers.Writer(pid), how))
    return named


def _command_line(pid):
    try:
        with open("/proc/%s/cmdline" % pid, "rb") as stream:
            return stream.read(CAP)
    except OSError:
        return b""


class _Scripts:
    """The texts of scripts, each read once."""

    def __init__(self):
        self._quiet = drift_files.places_that_may_not_answer()
        self._texts = {}

    def of(self, line):
        """The script that a process runs, as far as its command line tells; empty where it is a program."""
        words = [word for word in line.split(b"\0")[:WORDS] if word.startswith(b"/")]
        return b"\n".join(self._text(word) for word in words)

    def _text(self, word):
        if word not in self._texts:
            self._texts[word] = self._read(word)
        return self._texts[word]

    def _read(self, word):
        if drift_files.is_below(word, self._quiet):
            return b""
        try:
            _, data = plain.read(frames.text(word), CAP)
        except (OSError, walk.Refused, ValueError):
            return b""
        return data if data.startswith(b"#!") else b""
