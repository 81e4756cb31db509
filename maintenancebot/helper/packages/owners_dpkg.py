"""Owners of files by dpkg: its list of configuration files, its checksums, ucf's records and dpkg's log."""

import glob
import re
import time

from .. import frames
from ..host import tools
from . import dpkg
from .owners import Owner

INFO = "/var/lib/dpkg/info"
UCF_HASHES, UCF_OWNERS = "/var/lib/ucf/hashfile", "/var/lib/ucf/registry"
LOGS = "/var/log/dpkg.log*"
CAP = 32 << 20
LIMIT = 60
FIELDS = re.compile(rb"^(Package|Version|Architecture): (.*)$", re.M)


def of(paths):
    """See `owners.of`."""
    status = _read(dpkg.STATUS)
    found = {path: _conffile(status, frames.raw(path)) or _of_ucf(status, path) for path in paths}
    others = [path for path in paths if found[path] is None]
    found.update(_searched(status, others))
    log = Log(LOGS)
    for owner in filter(None, found.values()):
        owner.upgraded = log.upgrade(owner.package, owner.version)
    return {path: owner for path, owner in found.items() if owner is not None}


def _conffile(status, path):
    """The owner of a configuration file, with the sum that dpkg has of the version it brought."""
    at = status.find(b"\n %s " % path)
    if at < 0:
        return None
    line = status[at + 2 + len(path) :].split(b"\n", 1)[0].split()
    owner = _owner(status[status.rfind(b"\n\n", 0, at) + 1 : at])
    owner.digest = frames.text(line[0]) if line else ""
    return owner


def _owner(paragraph):
    fields = {key: frames.text(value) for key, value in FIELDS.findall(paragraph)}
    return Owner(fields.get(b"Package", ""), fields.get(b"Version", ""))


def _of_package(status, name):
    """The owner for a package's name."""
    at = (b"\n" + status).find(b"\nPackage: %s\n" % frames.raw(name))
    return _owner(status[at : status.find(b"\n\n", at)]) if at >= 0 else Owner(name)


def _of_ucf(status, path):
    """The owner of a file that a package's scripts keep by ucf; Debian's sshd_config is one."""
    package = next((row[0] for row in _pairs(UCF_OWNERS) if row[1] == path), None)
    if package is None:
        return None
    owner = _of_package(status, package)
    owner.digest = next((row[0] for row in _pairs(UCF_HASHES) if row[1] == path), "")
    return owner


def _pairs(path):
    """[word, rest] of each line."""
    rows = (line.split(None, 1) for line in frames.text(_read(path)).splitlines())
    return [row for row in rows if len(row) == 2]


def _searched(status, paths):
    """Owners of what is no configuration file, by dpkg's lists of files."""
    program = tools.find("dpkg-query")
    if not paths or program is None:
        return {}
    patterns = [re.sub(r"([*?\[\]\\])", r"\\\1", path) for path in paths]
    answer = tools.run([program, "--search", "--", *patterns], limit=LIMIT)
    found = {}
    for line in frames.text(answer.stdout).splitlines():
        names, separator, path = line.partition(": ")
        if separator and path in paths and " " not in names.split(", ")[0]:
            name = names.split(", ")[0].partition(":")[0]
            found[path] = _of_package(status, name)
            found[path].digest = _sum(names.split(", ")[0], path)
    return found


def _sum(name, path):
    """The sum that a package's list has of a file."""
    for place in (name, name.partition(":")[0]):
        for line in frames.text(_read("%s/%s.md5sums" % (INFO, place))).splitlines():
            digest, _, relative = line.partition("  ")
            if "/" + relative == path:
                return digest
    return ""


class Log:
    """dpkg's own log and those that were rotated away; read when it is first asked."""

    def __init__(self, pattern):
        self._pattern = pattern
        self._lines = None

    def upgrade(self, package, version):
        """(begin, end) of the last upgrade of a package to that version, None when the log has none."""
        begun = ended = None
        for line in self._of(package):
            words = line.split()
            if len(words) == 6 and words[2] == "upgrade":
                begun, ended = (_epoch(words) if words[5] == version else None), None
            elif len(words) == 6 and words[2] == "install":
                begun = None
            elif begun and words[2:4] == ["status", "installed"] and words[-1] == version:
                ended = _epoch(words)
        return (begun, ended or begun) if begun else None

    def _of(self, package):
        if self._lines is None:
            self._lines = [line for path in _oldest_first(self._pattern) for line in _log_lines(path)]
        mark = " %s:" % package
        return [line for line in self._lines if mark in line]


def _oldest_first(pattern):
    """The log that is written to has no number, and the highest number is the oldest."""
    age = re.compile(r"\.([0-9]+)(\.gz)?$")
    return sorted(glob.glob(pattern), key=lambda path: -int(age.search(path).group(1)) if age.search(path) else 1)


def _log_lines(path):
    """The lines of a log about upgrades and what became of them; none of one that cannot be read."""
    try:
        if path.endswith(".gz"):
            import gzip

            with gzip.open(path) as stream:
                text = stream.read(CAP)
        else:
            text = _read(path)
    except (OSError, EOFError, ImportError):
        return []
    wanted = (" upgrade ", " install ", " status installed ")
    return [line for line in frames.text(text).splitlines() if any(word in line for word in wanted)]


def _epoch(words):
    """The time of a log line, which is the host's local time."""
    try:
        return time.mktime(time.strptime(" ".join(words[:2]), "%Y-%m-%d %H:%M:%S"))
    except (ValueError, OverflowError):
        return None


def _read(path):
    try:
        with open(path, "rb") as stream:
            return stream.read(CAP)
    except OSError:
        return b""
