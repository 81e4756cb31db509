"""What dpkg knows: packages, interrupted work, locks, configuration files it kept. Reads only."""

import fcntl
import os
import re
import struct
import time

from .. import frames
from ..host import facts, tools

STATUS = "/var/lib/dpkg/status"
UPDATES = "/var/lib/dpkg/updates"
LISTS_LOCK = "/var/lib/apt/lists/lock"
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/cache/apt/archives/lock")

WANTED = re.compile(rb"^(Package|Status|Architecture|Version|Installed-Size): ?(.*)$", re.M)
VERSION_PARTS = re.compile(r"([^0-9]*)([0-9]*)")
NOT_THERE = ("not-installed", "config-files")
NEW_CONFIGURATION = (b".dpkg-dist", b".dpkg-new", b".ucf-dist", b".ucf-new")
LOCK_POLL_SECONDS = 1.0
TOLD = 50
"""How many names a list in an answer may have."""


class Package:
    """An installed package: `want` is install or hold, `state` is installed or a half-way one, `size` in bytes."""

    __slots__ = ("arch", "flag", "name", "size", "state", "version", "want")

    def __init__(self, name, arch, version, want="install", flag="ok", state="installed", size=0):
        self.name = name
        self.arch = arch
        self.version = version
        self.want = want
        self.flag = flag
        self.state = state
        self.size = size

    @property
    def held(self):
        """Whether an administrator put it on hold."""
        return self.want == "hold"

    @property
    def whole(self):
        """Whether it is unpacked and configured."""
        return self.state == "installed" and self.flag == "ok"


def packages(path=STATUS):
    """The packages on the host as {(name, architecture): Package}; OSError when dpkg's list cannot be read."""
    with open(path, "rb") as stream:
        text = stream.read()
    found = {}
    for paragraph in text.split(b"\n\n"):
        fields = {key: frames.text(value.strip()) for key, value in WANTED.findall(paragraph)}
        status = fields.get(b"Status", "").split()
        if len(status) != 3 or status[2] in NOT_THERE:
            continue
        size = fields.get(b"Installed-Size", "")
        package = Package(fields[b"Package"], fields.get(b"Architecture", ""), fields.get(b"Version", ""), *status)
        package.size = int(size) * 1024 if size.isdigit() else 0
        found[(package.name, package.arch)] = package
    return found


def native_architecture(found):
    """The host's own architecture: that of dpkg itself."""
    for name, arch in found:
        if name == "dpkg":
            return arch
    return ""


def broken(found):
    """`name: state` of each package that is not wholly installed."""
    return sorted("%s: %s" % (p.name, p.state if p.flag == "ok" else p.flag) for p in found.values() if not p.whole)


def interrupted(folder=UPDATES):
    """Whether a dpkg was stopped in the middle: its journal was not folded into the status file."""
    try:
        return any(name.isdigit() for name in os.listdir(folder))
    except OSError:
        return False


def audit(out):
    """What `dpkg --audit` complains of; missing md5sums harm nothing and are common in foreign packages."""
    answer = tools.run([tools.find("dpkg") or "/usr/bin/dpkg", "--audit"], out=out, limit=120)
    if not answer.ok and not answer.stdout:
        return [answer.error()]
    return audit_lines(frames.text(answer.stdout))


def audit_lines(text):
    """The first lines of the sections that matter, each with its packages."""
    complaints = []
    for section in re.split(r"\n\s*\n", text.strip()):
        lines = section.splitlines()
        heading = " ".join(line.strip() for line in lines if not line.startswith(" "))
        if heading and "md5sums control file" not in heading:
            names = [line.split()[0] for line in lines if line.startswith(" ") and line.strip()]
            complaints.append("%s %s" % (heading, ", ".join(names)))
    return complaints[:TOLD]


def compare(one, other):
    """-1, 0 or 1 as Debian orders versions."""
    for left, right in zip(_split(one), _split(other)):  # noqa: B905  strict is not in Python 3.6
        order = _compare_part(left, right)
        if order:
            return order
    return 0


def _split(version):
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-") if "-" in rest else (rest, "", "0")
    return epoch, upstream, revision


def _compare_part(one, other):
    left, right = VERSION_PARTS.findall(one), VERSION_PARTS.findall(other)
    for number in range(max(len(left), len(right))):
        text, digits = left[number] if number < len(left) else ("", "")
        other_text, other_digits = right[number] if number < len(right) else ("", "")
        mine, yours = _weights(text), _weights(other_text)
        if mine != yours:
            return -1 if mine < yours else 1
        if int(digits or 0) != int(other_digits or 0):
            return -1 if int(digits or 0) < int(other_digits or 0) else 1
    return 0


def _weights(text):
    """A tilde sorts before the end, the end before letters, letters before the rest."""
    return [-1 if c == "~" else ord(c) if c.isalpha() else ord(c) + 256 for c in text] + [0]


def holder(path):
    """Who holds a lock file, as `name (pid N)`; None when nobody does. Looks without taking the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        question = struct.pack("@hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = struct.unpack("@hhqqi4x", fcntl.fcntl(descriptor, fcntl.F_GETLK, question))
    finally:
        os.close(descriptor)
    if answer[0] == fcntl.F_UNLCK:
        return None
    return "%s (pid %d)" % (facts.read_line("/proc/%d/comm" % answer[4]) or "a process", answer[4])


def wait_for_locks(seconds, out, paths=LOCKS):
    """Wait until nobody holds apt's and dpkg's locks; None, or after `seconds` a line that says who still does."""
    end = time.monotonic() + seconds
    spoke = time.monotonic()
    while True:
        held = [(path, who) for path, who in ((path, holder(path)) for path in paths) if who]
        if not held:
            return None
        words = "%s is held by %s" % held[0]
        if time.monotonic() >= end:
            return words
        if time.monotonic() - spoke >= tools.ALIVE_SECONDS:
            out.alive("waiting: " + words)
            spoke = time.monotonic()
        time.sleep(LOCK_POLL_SECONDS)


def new_configuration(since, root=b"/etc"):
    """Files that dpkg or ucf laid beside a local configuration file, which was kept, since a time."""
    found = []
    for folder, _folders, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(NEW_CONFIGURATION) and _changed(path) >= since:
                found.append(frames.text(path))
    return sorted(found)[:TOLD]


def _changed(path):
    try:
        return os.lstat(path).st_ctime
    except OSError:
        return 0
