"""A program of root's own that makes a snapshot of the host before an upgrade; nobody can slip in another."""

import os
import stat

from .. import frames
from ..host import tools
from .transactions import Refused

LIMIT_SECONDS = 900


def objection(path):
    """Why the program is not run, empty when it may be: it and all folders above it must be root's alone to change."""
    name = os.fsencode(path)
    try:
        facts = os.lstat(name)
    except OSError as error:
        return "%s: %s" % (frames.text(name), error.strerror)
    if not stat.S_ISREG(facts.st_mode) or not facts.st_mode & 0o100:
        return "%s is no program" % frames.text(name)
    while True:
        if facts.st_uid != 0 or (facts.st_mode & 0o022 and not stat.S_ISLNK(facts.st_mode)):
            return "%s can be changed by others than root" % frames.text(name)
        if name == b"/":
            return ""
        name = os.path.dirname(name)
        facts = os.stat(name)


def make(args, run, out):
    """Have the snapshot made for an upgrade, if one is wanted; Refused without success, and nothing is upgraded.

    The program is called without arguments; MAINTENANCEBOT_UPGRADE holds the name of the run.
    """
    path = args.get("snapshot_hook")
    if not path:
        return
    complaint = objection(path)
    if complaint:
        raise Refused("lacks", complaint)
    answer = tools.run([path], out=out, limit=LIMIT_SECONDS, env=tools.environment(MAINTENANCEBOT_UPGRADE=run))
    if not answer.ok:
        reason = "timeout" if answer.timed_out else "tool_failed"
        raise Refused(reason, "no snapshot, so no upgrade: %s: %s" % (path, answer.error()), "failed")
