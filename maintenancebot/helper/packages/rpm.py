"""What rpm knows: installed packages, and how their versions are ordered. Reads only."""

import re

from .. import frames
from ..host import overlaid, tools

LIMIT = 120
FORMAT = "%{NAME}|%|EPOCH?{%{EPOCH}}:{0}||%{VERSION}|%{RELEASE}|%{ARCH}|%{SIZE}\\n"
NEVRA = re.compile(r"^(.+)-(?:(\d+):)?([^-:]+)-([^-]+)\.([A-Za-z0-9_]+)$")
SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
LOCKS = ("/var/lib/rpm/.rpm.lock", "/usr/lib/sysimage/rpm/.rpm.lock")
NO_PACKAGE = "gpg-pubkey"


class RpmError(Exception):
    """rpm, dnf or zypper gave no answer that can be read; `reason` of the closed list, the message is one line."""

    def __init__(self, detail, reason="tool_failed"):
        self.reason = reason
        Exception.__init__(self, detail)


class Package:
    """A package in one version: `evr` has its epoch only when that is not 0, `size` in bytes."""

    __slots__ = ("arch", "evr", "name", "size")

    def __init__(self, name, evr, arch, size=0):
        self.name = name
        self.evr = evr
        self.arch = arch
        self.size = size

    @property
    def key(self):
        """What its versions have in common."""
        return self.name, self.arch


def installed(out=None):
    """{(name, architecture): [Package, …]} of what is installed, the newest version first; kernels have several."""
    program = tools.find("rpm")
    if program is None:
        raise RpmError("rpm is not on the host")
    answer = overlaid.run([program, "-qa", "--qf", FORMAT], out=out, limit=LIMIT)
    if not answer.ok:
        raise RpmError("rpm -qa: " + answer.error())
    return by_key(parse(frames.text(answer.stdout)))


def parse(text):
    """Packages from lines of `name|epoch|version|release|architecture|size`, with more fields ignored."""
    found = []
    for line in text.splitlines():
        fields = line.split("|")
        if len(fields) >= 6 and fields[0] != NO_PACKAGE:
            name, epoch, version, release, arch, size = fields[:6]
            found.append(Package(name, evr(epoch, version, release), arch, int(size) if size.isdigit() else 0))
    return found


def by_key(packages):
    """Packages by name and architecture, each with its versions, the newest first."""
    found = {}
    for package in packages:
        found.setdefault(package.key, []).append(package)
    for versions in found.values():
        versions.sort(key=sortable, reverse=True)
    return found


def evr(epoch, version, release):
    """Epoch, version and release as one word."""
    return "%s%s-%s" % ("%s:" % epoch if epoch not in ("", "0", "(none)") else "", version, release)


def split(nevra):
    """(name, evr, architecture) of a `name-epoch:version-release.arch`, None when it is none."""
    match = NEVRA.match(nevra)
    if not match:
        return None
    name, epoch, version, release, arch = match.groups()
    return name, evr(epoch or "0", version, release), arch


def compare(one, other):
    """-1, 0 or 1 as rpm orders `epoch:version-release`."""
    for left, right in zip(_parts(one), _parts(other)):  # noqa: B905  strict is not in Python 3.6
        order = _compare_part(left, right)
        if order:
            return order
    return 0


class sortable:  # noqa: N801  a key function, as functools.cmp_to_key is
    """A sort key for packages by version."""

    def __init__(self, package):
        self._evr = package.evr

    def __lt__(self, other):
        return compare(self._evr, other._evr) < 0


def _parts(text):
    epoch, colon, rest = text.rpartition(":")
    version, _, release = rest.partition("-")
    return (epoch if colon else "0"), version, release


def _compare_part(one, other):
    """rpmvercmp: segments of digits or letters; a tilde sorts before the end, a caret right after it."""
    mine, yours = SEGMENT.findall(one), SEGMENT.findall(other)
    for number in range(max(len(mine), len(yours))):
        left = mine[number] if number < len(mine) else ""
        right = yours[number] if number < len(yours) else ""
        if left != right:
            weights = _weight(left), _weight(right)
            if weights != ((3, 0), (3, 0)) and weights[0] != weights[1]:
                return -1 if weights[0] < weights[1] else 1
            if weights[0] == (3, 0):
                return -1 if left < right else 1
    return 0


def _weight(segment):
    """Tilde, end, caret, letters, then digits by their number."""
    if segment == "~":
        return 0, 0
    if not segment:
        return 1, 0
    if segment == "^":
        return 2, 0
    return (4, int(segment)) if segment.isdigit() else (3, 0)
