"""Which packages dnf or zypper are told to leave as they are. Reads only."""

import fnmatch
import re

from .. import frames

LISTS = {
    "dnf": ("/etc/dnf/plugins/versionlock.list", "/etc/yum/pluginconf.d/versionlock.list", "/etc/dnf/versionlock.toml"),
    "zypper": ("/etc/zypp/locks",),
}
NEVRA = re.compile(r"^(?:\d+:)?(.+)-(?:\d+:)?[^-]+-[^-]+(?:\.[^.-]+)?$")
NAMED = re.compile(r"^(?:name\s*=\s*\"([^\"]+)\"|solvable_name:\s*(\S+))", re.M)
CAP = 1 << 20


def locked(manager):
    """Globs of the names that are locked; empty where nothing is."""
    globs = []
    for path in LISTS[manager]:
        text = _read(path)
        globs += [one or other for one, other in NAMED.findall(text)] if _is_tagged(path) else _entries(text)
    return globs


def is_locked(name, globs):
    """Whether a package is meant by one of them."""
    return any(fnmatch.fnmatchcase(name, one) for one in globs)


def _is_tagged(path):
    return not path.endswith(".list")


def _entries(text):
    """Names of `name-version-release.arch` lines; one that begins with `!` excludes a version and holds nothing."""
    lines = [line.strip() for line in text.splitlines()]
    found = [NEVRA.match(line) for line in lines if line and line[0] not in "#!"]
    return [match.group(1) for match in found if match]


def _read(path):
    try:
        with open(path, "rb") as stream:
            return frames.text(stream.read(CAP))
    except OSError:
        return ""
