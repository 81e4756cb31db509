"""Owners of files by rpm: its own sums, the time of installation, and the managers' records of upgrades."""

import os

from .. import frames
from ..host import overlaid, tools
from . import rpm_history
from .owners import Owner

FORMAT = "[%{=NAME}|%{=VERSION}-%{=RELEASE}|%{=INSTALLTIME}|%{FILEDIGESTS}|%{FILENAMES}\\n]"
ZYPP_HISTORY = "/var/log/zypp/history"
ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
BEFORE, AFTER = 300, 3600
"""rpm notes when it began with a package; its files come in the time around."""
LIMIT = 60
CAP = 32 << 20


def of(paths, manager):
    """See `owners.of`."""
    program = tools.find("rpm")
    if program is None:
        return {}
    try:
        answer = overlaid.run([program, "-qf", "--qf", FORMAT, "--", *paths], limit=LIMIT)
    except overlaid.CannotCover:
        return {}
    found, wanted = {}, frozenset(paths)
    for line in frames.text(answer.stdout).splitlines():
        fields = line.split("|", 4)
        if len(fields) == 5 and fields[4] in wanted and fields[2].isdigit():
            found[fields[4]] = _owner(*fields[:4], manager=manager)
    return found


def _owner(name, version, installed, digest, manager):
    at = int(installed)
    upgraded = (at - BEFORE, at + AFTER) if _was_upgrade(name, version, manager) else None
    return Owner(name, version, digest, ALGORITHMS.get(len(digest), ""), upgraded)


def _was_upgrade(name, version, manager):
    if manager == "zypper":
        return any(other != version for other in _of_zypp(name))
    return rpm_history.was_upgraded(name, version)


def _of_zypp(name):
    """The versions of a package that zypper installed, as far as its history goes back."""
    if not os.path.exists(ZYPP_HISTORY):
        return
    with open(ZYPP_HISTORY, "rb") as stream:
        for line in stream.read(CAP).splitlines():
            fields = frames.text(line).split("|")
            if len(fields) > 3 and fields[1] == "install" and fields[2] == name:
                yield fields[3]
