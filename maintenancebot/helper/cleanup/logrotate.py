"""What logrotate manages: read from its configuration and state, so that its logs are left to it.

Reads as much as it can: a log that is taken for managed stays, so in doubt more is managed than really is.
"""

import os
import re
import shlex
import stat
import time

from .. import frames
from ..files import globs

CONFIG = "/etc/logrotate.conf"
STATES = ("/var/lib/logrotate/status", "/var/lib/logrotate/logrotate.status", "/var/lib/logrotate.status")
STATE_DAYS = 100
"""A log in the state file that was rotated that lately is managed by some configuration, run by cron perhaps."""

IGNORED = re.compile(
    r"(,v|~|\.(bak|cfsaved|disabled|dpkg-(bak|del|dist|new|old|tmp)|new|old|orig|rhn-cfg-tmp-.*|rpm(new|orig|save)|swp|ucf-(dist|new|old)))$"
)
"""Files in an included folder that logrotate passes over."""

SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
PACKED = r"(?:\.(?:gz|bz2|xz|zst|lz4|lzma|Z))?"
ROTATED = re.compile(r"^(?P<stem>.+?)[.-][0-9][0-9_.:TZ+-]*(?P<ext>\.[A-Za-z][^.]*?)?" + PACKED + "$", re.DOTALL)
PACKED_ONLY = re.compile(r"^(?P<stem>.+)\.(?:gz|bz2|xz|zst|lz4|lzma|Z|old|bak)$", re.DOTALL)
SIZE_CAP = 4 * 1024 * 1024
MAX_FILES = 2000


class Managed:
    """The logs of one host that belong to logrotate, rotated ones included."""

    def __init__(self):
        self.problems = []
        self.files = 0
        self.old_dir = ""  # the default that the configuration sets outside of its blocks
        self.reading = ""  # the file that is being read
        self._exact = {}  # path -> the file that names it
        self._globs = []  # (glob, file)

    def add(self, path):
        """A log path or glob of a configuration."""
        if not path.startswith("/"):
            return
        for form in {path, _resolved(path)}:
            try:
                if globs.MAGIC.search(form):
                    self._globs.append((globs.Glob(form, hidden=True), self.reading))
                else:
                    self._exact.setdefault("/" + "/".join(globs.components(form)), self.reading)
            except (ValueError, re.error):
                self.problems.append("cannot read the path %s" % path[:200])

    def add_block(self, paths, apart):
        """Point out patterns of one block that match their own rotated files, unless these go to a folder `apart`."""
        for path in paths:
            if path.rpartition("/")[2].endswith("*") and not apart:
                self.problems.append("logrotate's pattern %s matches the files that it rotated, too" % path[:200])

    def add_old_dir(self, folder, paths):
        """Where the rotated files of some logs lie: `folder` may be relative to each log's own."""
        for path in paths:
            log_folder, _, name = path.rpartition("/")
            place = folder if folder.startswith("/") else log_folder + "/" + folder
            self.add(place.rstrip("/") + "/" + name)

    def holds(self, path):
        """Whether the path is a managed log, or has the name of a rotated one."""
        return self.named_by(path) is not None

    def named_by(self, path):
        """The configuration or state file that names the log, None when no file does."""
        folder, _, name = path.rpartition("/")
        for form in [name, *_unrotated(name)]:
            found = self._names(folder + "/" + form)
            if found is not None:
                return found
        return None

    def _names(self, path):
        if path in self._exact:
            return self._exact[path]
        parts = path.strip("/").split("/")
        for glob, origin in self._globs:
            if len(glob.parts) == len(parts) and glob.covers(parts):
                return origin
        return None


def read(config=CONFIG, states=STATES, now=None):
    """Read the configuration with all it includes, and the state file; what is missing manages nothing."""
    managed = Managed()
    _read_file(config, managed, 0)
    for path in states:
        _read_state(path, managed, time.time() if now is None else now)
    return managed


def _unrotated(name):
    """The names that a log may have had before it was rotated to this one."""
    packed = PACKED_ONLY.match(name)
    if packed:
        yield packed.group("stem")
    rotated = ROTATED.match(name)
    if rotated:
        yield rotated.group("stem")
        yield rotated.group("stem") + (rotated.group("ext") or "")


def _resolved(path):
    """The path with links in its part before the first wildcard followed, as logrotate would."""
    head, slash, tail = path.rpartition("/")
    while globs.MAGIC.search(head):
        head, _, more = head.rpartition("/")
        tail = more + "/" + tail
    return os.path.realpath(head or "/").rstrip("/") + slash + tail


def _read_file(path, managed, depth):
    text = _content(path, managed)
    if text is None or depth > 10 or managed.files > MAX_FILES:
        return
    managed.files += 1
    _Parser(managed, depth, path).parse(text)


def _content(path, managed):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            managed.problems.append("cannot read %s: %s" % (path, error.strerror))
        return None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        managed.problems.append("%s is not a file" % path)
        return None
    with os.fdopen(fd, "rb") as stream:
        return frames.text(stream.read(SIZE_CAP))


class _Parser:
    """One configuration file: blocks of log paths with their options between braces."""

    def __init__(self, managed, depth, path):
        self._managed = managed
        self._path = path
        self._depth = depth
        self._paths = []
        self._inside = False
        self._apart = False
        self._script = False

    def parse(self, text):
        for line in text.replace("\\\n", " ").splitlines():
            line = line.strip()
            if self._script:
                self._script = line != "endscript"
            elif line and not line.startswith("#"):
                self._line(line)

    def _line(self, line):
        self._managed.reading = self._path  # it may have been an included one in between
        word = line.split(None, 1)[0]
        if self._inside:
            self._option(word, line)
        elif word == "include" or word.startswith("include="):
            self._include(line[len("include") :].strip(" \t="))
        elif line.startswith(("/", '"', "'", "{")):
            self._head(line)
        elif word == "olddir":
            self._managed.old_dir = _first(line[len("olddir") :].strip(" \t="))

    def _head(self, line):
        before, brace, after = line.partition("{")
        self._paths += _words(before)
        for path in _words(before):
            self._managed.add(path)
        if brace:
            self._inside = True
            if self._managed.old_dir:
                self._managed.add_old_dir(self._managed.old_dir, self._paths)
            for part in after.replace("}", "\n}\n").splitlines():
                if part.strip():
                    self._line(part.strip())

    def _option(self, word, line):
        if word in SCRIPTS:
            self._script = True
        elif word == "olddir":
            self._apart = True
            self._managed.add_old_dir(_first(line[len("olddir") :].strip(" \t=")), self._paths)
        elif line.startswith("}"):
            self._managed.add_block(self._paths, self._apart or self._managed.old_dir)
            self._inside, self._paths, self._apart = False, [], False

    def _include(self, target):
        target = _first(target)
        if not os.path.isdir(target):
            _read_file(target, self._managed, self._depth + 1)
            return
        try:
            entries = sorted(os.listdir(target))
        except OSError as error:
            self._managed.problems.append("cannot read %s: %s" % (target, error.strerror))
            return
        for name in entries:
            path = target.rstrip("/") + "/" + name
            if not IGNORED.search(name) and not os.path.isdir(path):
                _read_file(path, self._managed, self._depth + 1)


def _words(text):
    try:
        return shlex.split(text)
    except ValueError:
        return text.replace('"', " ").replace("'", " ").split()


def _first(text):
    words = _words(text)
    return words[0] if words else ""


def _read_state(path, managed, now):
    text = _content(path, managed)
    managed.reading = path
    for line in (text or "").splitlines()[1:]:
        found = re.match(r'^"(.*)" (\d+)-(\d+)-(\d+)', line)
        if found and now - _epoch(*found.groups()[1:]) < STATE_DAYS * 86400:
            managed.add(found.group(1).replace('\\"', '"').replace("\\\\", "\\").translate(LITERAL))


def _epoch(year, month, day):
    try:
        return time.mktime((int(year), int(month), int(day), 0, 0, 0, 0, 0, -1))
    except (OverflowError, ValueError):
        return 0


LITERAL = {ord("*"): "[*]", ord("?"): "[?]", ord("["): "[[]"}
"""The state file names files, not patterns."""
