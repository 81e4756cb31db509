"""What repositories of restic and borg have in common: a tool that writes nothing and ends in time, secrets."""

import calendar
import os
import re
import stat
import time

from ..host import overlaid, tools
from .verdicts import bad, unknown

MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$")
LOCAL_OUTPUT = 64 * 1024 * 1024
SLACK = 0.05
HOLES = 3
"""restic's exit code for a backup that left files out."""


def run(argv, seconds, out, env, folders=(), stdin=b"", cap=tools.OUTPUT_CAP):
    """Run a tool behind all others, with every local file system read-only to it and /tmp and `folders` in memory.

    Raises Verdict where the host cannot keep a tool from writing; a tool that hangs is ended.
    """
    try:
        return overlaid.run(
            patient(argv, seconds), folders=folders, out=out, limit=seconds, env=env, stdin=stdin, cap=cap
        )
    except overlaid.CannotCover as error:
        raise unknown("needs_root" if os.geteuid() != 0 else "lacks", str(error)) from error


def patient(argv, seconds):
    """The command line that lets all others go first, and ends by itself even when nobody waits for it any more."""
    before = [tools.find("timeout"), "-k", "5", "%d" % (seconds + 5)] if tools.find("timeout") else []
    before += [tools.find("nice"), "-n", "19"] if tools.find("nice") else []
    return before + ([tools.find("ionice"), "-c", "3"] if tools.find("ionice") else []) + list(argv)


def program(name):
    """Path of the tool; raises Verdict without it."""
    found = tools.find(name)
    if found is None:
        raise unknown("lacks", "%s is not installed on the host" % name)
    return found


def check_place(*paths):
    """Raise Verdict for what a tool could not see, since /tmp is covered while it runs."""
    for path in paths:
        if path and os.path.realpath(path).startswith("/tmp/"):  # noqa: S108
            raise unknown("lacks", "%s lies in /tmp, where no tool that is kept from writing sees it" % path)


def secret(path, limit=65536):
    """The content of a small file that only its owner should read; raises Verdict."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise unknown("credentials", "%s cannot be read: %s" % (path, error.strerror)) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise unknown("credentials", "%s is not a regular file" % path)
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def moment(words):
    """A time as restic and borg write it, in seconds since the epoch; without a zone it is UTC, as we ask for."""
    found = MOMENT.match(words if isinstance(words, str) else "")
    if not found:
        raise unknown("tool_failed", "%.60r is no time" % (words,))
    day, clock, part, zone = found.groups()
    seconds = calendar.timegm(time.strptime(day + " " + clock, "%Y-%m-%d %H:%M:%S")) + float(part or 0)
    if zone and zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        seconds -= 60 * minutes * (-1 if zone[0] == "-" else 1)
    return seconds


def shown(repository):
    """A repository's address without what may be a password in it."""
    return re.sub(r"//[^/\s]*@", "//", repository)


def check_holes(began, data):
    """Raise Verdict when the unit that made the backup says that it left files out; a fact nobody else keeps."""
    for unit, code in _ended_around(began):
        data["evidence"]["made_by"] = unit
        if code == HOLES:
            raise bad("incomplete", "%s, which made it, ended with exit code 3: files were left out" % unit)


def _ended_around(began):
    """Units of backups whose main process ran at that moment and has ended: name and exit code."""
    tool = tools.find("systemctl")
    if tool is None:
        return []
    wanted = "Id,ExecStart,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic,ExecMainStatus"
    answer = tools.run([tool, "show", "*.service", "--all", "--property", wanted], limit=20)
    at = time.clock_gettime(time.CLOCK_MONOTONIC) - time.time() + began
    units = []
    for block in answer.stdout.decode("utf-8", "replace").split("\n\n"):
        rows = dict(line.partition("=")[::2] for line in block.splitlines())
        start, end = (_seconds(rows.get("ExecMain%sTimestampMonotonic" % word)) for word in ("Start", "Exit"))
        named = re.search("restic|borg|backup", rows.get("Id", "") + rows.get("ExecStart", ""))
        if named and start and end and start - SLACK <= at <= end + SLACK:
            units.append((rows["Id"], int(rows.get("ExecMainStatus") or 0)))
    return units


def _seconds(words):
    return int(words) / 1e6 if words and words.isdigit() else 0
