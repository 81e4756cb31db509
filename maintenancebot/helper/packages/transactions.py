"""What upgrades have in common, whichever package manager makes them: refusals, joining a run, checks of the words."""

import os
import time

from .. import results
from ..host import unit


class Refused(Exception):
    """The step is not made; nothing was touched."""

    def __init__(self, reason, detail, state="skipped"):
        self.reason = reason
        self.detail = detail
        self.state = state
        Exception.__init__(self, detail)


def make(changes, out, begin, conclude, errors):
    """Upgrade exactly these packages, all or none: join or begin the detached run, wait for it, conclude it.

    `begin(wanted)` starts the run, or raises Refused or one of `errors`, which mean that a tool failed before anything
    was touched. `conclude(run)` gives the outcomes of the ended run.
    """
    if not changes:
        return []
    wanted = [change["object"] for change in changes]
    try:
        run = running(wanted) or begin(wanted)
    except Refused as error:
        return results.outcomes(changes, error.state, error.reason, error.detail)
    except errors as error:
        return results.outcomes(changes, "failed", "tool_failed", str(error))
    run.wait(out)
    return conclude(run)


def running(wanted):
    """The run that is at this very transaction already, None when nothing of ours runs; Refused for another one."""
    for run in unit.runs():
        if run.alive():
            if in_order(run.record().get("packages", [])) == in_order(wanted):
                return run
            raise Refused("busy", "%s still runs, see %s" % (run.name, run.log))
    return None


def in_order(packages):
    """Packages of a plan, or of a record of it, in one order."""
    return sorted(sorted(package.items()) for package in packages)


def new_name():
    """The name of a new run's unit and folder."""
    return "maintenancebot-upgrade-%s-%d" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), os.getpid())


def last_with(item):
    """The last run that was started with this package, None when there was none."""
    return next((run for run in reversed(unit.runs()) if item in run.record().get("packages", [])), None)


def check_words(wanted, plain):
    """Only plain names and versions go on a command line; `plain` has a pattern for each of a package's keys."""
    for item in wanted:
        if set(item) != set(plain) or not all(plain[key].fullmatch(item[key]) for key in plain):
            raise Refused(
                "not_allowed", "not a package, architecture and versions: %r" % sorted(item.items()), "failed"
            )


def check_versions(wanted, version_of):
    """Every package must still be installed in the version that the plan names; `version_of(item)` tells today's."""
    differing = []
    for item in wanted:
        version = version_of(item)
        if version != item["from"]:
            words = (item["package"], version or "absent", item["from"] or "absent")
            differing.append("%s is %s instead of %s" % words)
    if differing:
        raise Refused("changed_since", "; ".join(differing[:5]))
