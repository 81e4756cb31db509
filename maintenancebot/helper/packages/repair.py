"""Finishes what an interrupted dpkg left: configures what is unpacked, and nothing else."""

import os
import time

from .. import results
from ..host import tools, unit
from . import apt_get, dpkg

NAME = "maintenancebot-repair"


def repair(step, out):
    """Run `dpkg --configure -a` detached, never killed, and judge by what dpkg says of itself afterwards."""
    changes = step["changes"]
    if os.geteuid() != 0:
        return results.outcomes(changes, "skipped", "needs_root", "repairing packages needs root")
    locked = dpkg.wait_for_locks(step["args"]["lock_timeout"], out)
    run = next((one for one in unit.runs() if one.alive()), None)
    if locked or (run is not None and not run.name.startswith(NAME)):
        return results.outcomes(changes, "skipped", "busy", locked or "%s still runs, see %s" % (run.name, run.log))
    if run is None and not complaints(out):
        return results.outcomes(changes, "nothing", "up_to_date", "dpkg is in order already")
    try:
        run = run or start()
    except (unit.StartError, OSError) as error:
        return results.outcomes(changes, "failed", "tool_failed", str(error))
    code = run.wait(out)
    return [judge(change, run, code, complaints(out)) for change in changes]


def start():
    """Start it in a unit of its own."""
    name = "%s-%s-%d" % (NAME, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), os.getpid())
    argv = [tools.find("dpkg"), "--force-confdef", "--force-confold", "--configure", "-a"]
    return unit.start(name, argv, apt_get.environment(), {"packages": [], "repair": True})


def complaints(out):
    """What is not in order, as lines."""
    interrupted = ["dpkg was interrupted"] if dpkg.interrupted() else []
    return interrupted + (dpkg.broken(dpkg.packages()) or dpkg.audit(out))


def judge(change, run, code, left):
    """Done only if dpkg finds nothing to complain of."""
    measured = {"unit": run.name, "log": run.log, "exit_code": code, "broken": left}
    if left:
        faults = [line for line in run.tail() if line.startswith("dpkg: error")][:2]
        detail = "; ".join([*left[:5], *faults])
        return results.outcome(change["id"], "failed", "packages_broken", detail, **measured)
    return results.outcome(change["id"], "done", "verified", "", **measured)


def recall(change):
    """What became of a repair whose outcome was never recorded."""
    last = [run for run in unit.runs() if run.record().get("repair")][-1:]
    if any(run.alive() for run in last):
        return results.outcome(change["id"], "unknown", "busy", "%s still runs, see %s" % (last[0].name, last[0].log))
    left = complaints(None)
    if last:
        return judge(change, last[0], last[0].exit_code(), left)
    detail = "; ".join(left[:5])
    return results.outcome(change["id"], "skipped", "not_started", detail)
