"""The upgrade of a host: one transaction, checked again, run detached, judged by what is installed afterwards."""

import os
import re

from .. import results
from ..host import unit
from . import (
    apt,
    apt_get,
    dpkg,
    due,
    gate,
    health,
    marks,
    old_versions,
    rollback,
    snapshot_hook,
    space,
    transactions,
    weights,
)
from .transactions import Refused, check_versions, check_words

PLAIN = {
    "package": re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*"),
    "architecture": re.compile(r"[a-z0-9][a-z0-9-]*"),
    "from": re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.+:~_-]*)?"),
    "to": re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]*"),
}
"""What may stand on apt's command line: nothing that it could take for an option, a pattern or a file."""

FAULTS = re.compile(r"^(?:E: |dpkg: error|dpkg: unrecoverable|Err:)")
APT_LOCKED = "Could not get lock"


def upgrade(step, out):
    """Upgrade exactly the packages of a step, all or none, and say of each what is installed afterwards."""
    changes, args = step["changes"], step["args"]
    return transactions.make(
        changes,
        out,
        lambda wanted: begin(wanted, args, out, step),
        lambda run: gate.conclude(run, changes, args, judged(run, changes), out),
        (apt.AptError, unit.StartError, OSError),
    )


def begin(wanted, args, out, about):
    """Check everything again and start the detached run; Refused when the host is not as the plan saw it."""
    if os.geteuid() != 0:
        raise Refused("needs_root", "upgrading packages needs root")
    check_words(wanted, PLAIN)
    locked = dpkg.wait_for_locks(args["lock_timeout"], out)
    if locked:
        raise Refused("busy", locked)
    found = dpkg.packages()
    check_versions(wanted, lambda item: installed_version(item, found))
    check_health(found, out)
    asker = apt.Apt(out)
    words = check_transaction(wanted, found, asker)
    name = transactions.new_name()
    record = {"packages": [dict(item) for item in wanted], "run": about.get("run", "")}
    record["automatic"] = marks.automatic([item["package"] for item in wanted if item["from"]])
    snapshot_hook.make(args, name, out)
    if args.get("rollback"):
        record["old"], record["missing"] = fetch_old(wanted, found, asker, name, out)
    if args.get("health"):
        record["before"] = health.snapshot(args["health"])
    return unit.start(name, apt_get.upgrade(args["lock_timeout"], words), apt_get.environment(), record)


def fetch_old(wanted, found, asker, name, out):
    """The way back, before anything is replaced; Refused when there is no room to keep it."""
    old_versions.forget_others(name)
    packages = old_versions.replaced(wanted, found)
    folder = unit.make_folder(name)
    short = old_versions.shortage(packages)
    if short:
        os.rmdir(folder)
        raise Refused("no_space", "to keep the old versions: " + "; ".join(short))
    native = dpkg.native_architecture(found)
    return old_versions.fetch(packages, native, asker, folder + "/" + old_versions.FOLDER, out)


def check_health(found, out):
    """No upgrade on top of half-done work."""
    if dpkg.interrupted():
        raise Refused("packages_broken", "dpkg was interrupted; run `dpkg --configure -a` on the host")
    complaints = dpkg.broken(found) or dpkg.audit(out)
    if complaints:
        raise Refused("packages_broken", "; ".join(complaints[:5]))


def check_transaction(wanted, found, asker):
    """apt must still do exactly what the plan names, and there must be room; returns the words for apt."""
    native = dpkg.native_architecture(found)
    words = due.words(wanted, native)
    simulation = asker.simulate(words)
    if not simulation.ok or not due.same(simulation.installs, wanted):
        asker.distrust_cache()
        simulation = asker.simulate(words)
    if not simulation.ok:
        raise Refused("blocked", simulation.error())
    if simulation.removals:
        raise Refused("would_remove", ", ".join(item["name"] for item in simulation.removals))
    if not due.same(simulation.installs, wanted):
        raise Refused("changed_since", "apt would not do what the plan names: " + difference(simulation, wanted))
    download, growth, largest = weights.weigh(asker, simulation.installs, found, native)
    kernel = any(item["name"].startswith("linux-image") for item in simulation.installs)
    short = space.shortage(download, growth, largest, kernel)
    if short:
        raise Refused("no_space", "; ".join(short))
    return words


def difference(simulation, wanted):
    """For people: what a simulation has more or less than the plan."""
    planned = {"%s=%s" % (item["package"], item["to"]) for item in wanted}
    would = {"%s=%s" % (item["name"], item["to"]) for item in simulation.installs}
    lines = ["also " + name for name in sorted(would - planned)] + ["not " + name for name in sorted(planned - would)]
    return ", ".join(lines[:6]) or "other versions are installed"


def installed_version(item, found):
    """The installed version of a change's package, empty when it is not there."""
    package = weights.installed(item["package"], item["architecture"], found)
    return package.version if package else ""


def judged(run, changes):
    """An outcome for each change by what is installed now."""
    found = dpkg.packages()
    log = run.tail()
    return [judge(change, found, run.exit_code(), log) for change in changes]


def judge(change, found, code, log):
    """One change: done only if the planned version is installed and configured."""
    item = change["object"]
    package = weights.installed(item["package"], item["architecture"], found)
    version = package.version if package else ""
    measured = {"installed": version}
    if package and version == item["to"] and package.whole:
        return results.outcome(change["id"], "done", "verified", "", **measured)
    faults = "; ".join(complaints(log)[:3]) or "apt-get ended with %s" % code
    if package and not package.whole:
        return results.outcome(
            change["id"], "failed", "packages_broken", "%s; %s" % (package.state, faults), **measured
        )
    if version != item["from"]:
        return results.outcome(change["id"], "failed", "version_differs", "installed is %s" % version, **measured)
    if APT_LOCKED in faults:
        return results.outcome(change["id"], "skipped", "busy", faults, **measured)
    return results.outcome(change["id"], "failed", "tool_failed", faults, **measured)


def complaints(log):
    """The lines of a log that say what failed; one that ends in a colon goes on in the next."""
    found = []
    for line, after in zip(log, [*log[1:], ""]):  # noqa: B905  strict is not in Python 3.6
        if FAULTS.match(line):
            found.append("%s %s" % (line, after.strip()) if line.endswith(":") else line)
    return found


def recall(change):
    """What became of a change whose outcome was never recorded: as the run noted it, else by looking at the host."""
    item = dict(change["object"])
    last = transactions.last_with(item)
    for run in filter(None, [last, last and rollback.of(last)]):
        if run.alive():
            return results.outcome(change["id"], "unknown", "busy", "%s still runs, see %s" % (run.name, run.log))
    if last:
        return gate.recalled(last, change, judged(last, [change])[0])
    found = dpkg.packages()
    if installed_version(item, found) == item["from"]:
        return results.outcome(change["id"], "skipped", "not_started", "still %s" % (item["from"] or "absent"))
    return judge(change, found, None, [])
