"""The upgrade with dnf or zypper: one transaction, checked again, run detached, judged by what is installed."""

import os
import re
import time

from . import (
    dpkg,
    frames,
    health,
    managers,
    overlaid,
    restarts,
    results,
    rollback,
    rpm,
    rpm_history,
    rpm_look,
    tools,
    unit,
)

PLAIN = {
    "package": re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*"),
    "architecture": re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*"),
    "from": re.compile(r"(?:(?:[0-9]+:)?[A-Za-z0-9][A-Za-z0-9._+~^-]*)?"),
    "to": re.compile(r"(?:[0-9]+:)?[A-Za-z0-9][A-Za-z0-9._+~^-]*"),
}
"""What may stand on the command line: nothing that it could take for an option, a pattern, a group or a file."""

FAULTS = re.compile(r"^(?:Error|error|\[MIRROR\]|\[FAILED\]|  ?Problem| - )")
SCRIPT_FAILED = re.compile(r"%\w+\((\S+)\) scriptlet failed")
ZYPPER_LOCKED = "System management is locked by"
NOTES = {
    102: "a reboot is needed, says zypper",
    103: "zypper itself was upgraded; more may be due",
    106: "some repositories were skipped",
    107: "a package's script failed",
}
"""zypper's exit codes that are no failure of the transaction; what is installed counts."""

NEW_CONFIGURATION = (b".rpmnew", b".rpmsave")


class Refused(Exception):
    """The step is not made; nothing was touched."""

    def __init__(self, reason, detail, state="skipped"):
        self.reason = reason
        self.detail = detail
        self.state = state
        Exception.__init__(self, detail)


def upgrade(step, out):
    """Upgrade exactly the packages of a step, all or none, and say of each what is installed afterwards."""
    changes = step["changes"]
    if not changes:
        return []
    wanted = [change["object"] for change in changes]
    try:
        run = running(wanted) or begin(wanted, step["args"], out)
    except Refused as error:
        return results.outcomes(changes, error.state, error.reason, error.detail)
    except (rpm.RpmError, overlaid.CannotCover, unit.StartError, OSError) as error:
        return results.outcomes(changes, "failed", "tool_failed", str(error))
    run.wait(out)
    return watched(run, step["args"], measure(run, changes), out)


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


def begin(wanted, args, out):
    """Check everything again and start the detached run; Refused when the host is not as the plan saw it."""
    if os.geteuid() != 0:
        raise Refused("needs_root", "upgrading packages needs root")
    check_words(wanted)
    locked = dpkg.wait_for_locks(args["lock_timeout"], out, [path for path in rpm.LOCKS if os.path.exists(path)])
    if locked:
        raise Refused("busy", locked)
    if rpm_history.interrupted():
        raise Refused("packages_broken", "dnf's last transaction was interrupted; see `dnf history`")
    found = rpm.installed(out)
    check_versions(wanted, found)
    asker = rpm_look.asker_for(managers.choose().name, out)
    words = [asker.word(i["package"], i["to"], i["architecture"]) for i in wanted if i["from"]]
    check_transaction(wanted, found, asker, words)
    name = "maintenancebot-upgrade-%s-%d" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), os.getpid())
    record = {"manager": asker.name, "packages": [dict(item) for item in wanted]}
    if args.get("health"):
        record["health"] = health.snapshot(args["health"])
    return unit.start(
        name, asker.argv(words), tools.environment(ZYPP_LOCK_TIMEOUT=str(int(args["lock_timeout"]))), record
    )


def check_words(wanted):
    """Only plain names and versions go on a command line."""
    for item in wanted:
        if set(item) != set(PLAIN) or not all(PLAIN[key].fullmatch(item[key]) for key in PLAIN):
            raise Refused(
                "not_allowed", "not a package, architecture and versions: %r" % sorted(item.items()), "failed"
            )


def check_versions(wanted, found):
    """Every package must still be installed in the version that the plan names."""
    differing = []
    for item in wanted:
        version = newest(item, found)
        if version != item["from"]:
            words = (item["package"], version or "absent", item["from"] or "absent")
            differing.append("%s is %s instead of %s" % words)
    if differing:
        raise Refused("changed_since", "; ".join(differing[:5]))


def check_transaction(wanted, found, asker, words):
    """The same must still happen as the plan names, and there must be room."""
    simulation = asker.simulate(words)
    if not simulation.ok:
        raise Refused("blocked", "; ".join(sorted(simulation.unseen)) or simulation.error())
    if simulation.removals():
        raise Refused("would_remove", ", ".join(simulation.removals()))
    if simulation.downgrades():
        raise Refused("would_downgrade", ", ".join(simulation.downgrades()))
    planned = {(item["package"], item["architecture"], item["to"]) for item in wanted}
    would = set(simulation.installs())
    if planned != would or simulation.others():
        raise Refused(
            "changed_since", "%s would not do what the plan names: " % asker.name + difference(planned, would)
        )
    items, download, growth = weights(wanted, found, asker, words, simulation)
    short = rpm_look.shortage(items, download, growth)
    if short:
        raise Refused("no_space", "; ".join(short))


def weights(wanted, found, asker, words, simulation):
    """What the packages weigh, and the bytes to download and to unpack."""
    rows = [row for word in words for row in asker.available(word)]
    sizes = {(package.key, package.evr): (package.size, download) for package, download, _repository in rows}
    items = [weighed(item, sizes, found) for item in wanted]
    download = simulation.download or sum(item["download"] for item in items)
    return items, download, simulation.growth or sum(item["growth"] for item in items)


def weighed(item, sizes, found):
    """What one package weighs."""
    key = (item["package"], item["architecture"])
    size, download = sizes.get((key, item["to"]), (0, 0))
    before = found.get(key, [])
    growth = size - (before[0].size if before else 0) if size else 0
    return {"name": item["package"], "download": download, "growth": growth, "unpacked": size}


def difference(planned, would):
    """For people: what a simulation has more or less than the plan."""
    lines = ["also %s=%s" % (name, to) for name, _arch, to in sorted(would - planned)]
    lines += ["not %s=%s" % (name, to) for name, _arch, to in sorted(planned - would)]
    return ", ".join(lines[:6]) or "module streams or groups would change"


def newest(item, found):
    """The newest installed version of a change's package, empty when it is not there."""
    versions = found.get((item["package"], item["architecture"]), [])
    return versions[0].evr if versions else ""


def measure(run, changes):
    """An outcome for each change by what is installed now; what concerns the whole run stands with the first."""
    found = rpm.installed()
    log = run.tail()
    told = [judge(change, found, run.exit_code(), log) for change in changes]
    if told:
        told[0]["measured"].update(aftermath(run))
    return told


def watched(run, args, told, out):
    """The outcomes after the health gate: what was well before the upgrade must be well, else all of it failed."""
    before = run.record().get("health")
    if not args.get("health") or before is None or any(outcome["state"] != "done" for outcome in told):
        return told
    bad = health.watch(before, args["health"], out)
    told[0]["measured"]["health"] = dict(health.compared(before, args["health"]), bad=bad[: health.TELL])
    if bad:
        rollback.remember(run.record()["packages"], health.words(bad))
        for outcome in told:
            outcome.update(state="failed", reason="unhealthy", detail=health.words(bad)[:1000])
    return told


def judge(change, found, code, log):
    """One change: done only if the planned version is installed, and the old one is gone."""
    item = change["object"]
    versions = [package.evr for package in found.get((item["package"], item["architecture"]), [])]
    measured = {"installed": versions[0] if versions else ""}
    faults = "; ".join([line.strip() for line in log if FAULTS.match(line)][:3]) or "it ended with %s" % code
    if versions[:1] == [item["to"]]:
        bad = "; ".join(broken_by(item, versions, log))
        if bad:
            return results.outcome(change["id"], "failed", "packages_broken", bad, **measured)
        return results.outcome(change["id"], "done", "verified", "", **measured)
    if measured["installed"] != item["from"]:
        detail = "installed is %s" % (measured["installed"] or "nothing")
        return results.outcome(change["id"], "failed", "version_differs", detail, **measured)
    if ZYPPER_LOCKED in " ".join(log):
        return results.outcome(change["id"], "skipped", "busy", "zypper is locked by another program", **measured)
    return results.outcome(change["id"], "failed", "tool_failed", faults, **measured)


def broken_by(item, versions, log):
    """What is wrong with a package although the planned version is installed."""
    mine = item["package"], item["to"].rpartition(":")[2], item["architecture"]
    failed = [(line.strip(), SCRIPT_FAILED.search(line)) for line in log]
    told = [line for line, match in failed if match and without_epoch(match.group(1)) == mine]
    if item["from"] in versions and "kernel" not in item["package"]:
        told.append("both versions are installed")
    return told[:3]


def without_epoch(nevra):
    """Name, version and architecture of a package as rpm's messages name it, with its epoch or without."""
    name, version, arch = rpm.split(nevra) or (nevra, "", "")
    return name, version.rpartition(":")[2], arch


def aftermath(run):
    """The state the whole host is left in."""
    return {
        "unit": run.name,
        "log": run.log,
        "exit_code": run.exit_code(),
        "seconds": round(max(0.0, time.time() - run.started()), 1),
        "note": NOTES.get(run.exit_code(), ""),
        "broken": ["dnf's last transaction was interrupted"] if rpm_history.interrupted() else [],
        "kept_configuration": new_configuration(run.started() - 1),
        "restart_needed": restarts.outdated(),
        "reboot": restarts.reboot(),
    }


def new_configuration(since, root=b"/etc"):
    """Files that rpm laid beside a local configuration file since a time: `.rpmnew` when the local one was kept."""
    found = []
    for folder, _folders, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if name.endswith(NEW_CONFIGURATION) and os.lstat(path).st_ctime >= since:
                found.append(frames.text(path))
    return sorted(found)[: dpkg.TOLD]


def recall(change):
    """What became of a change whose outcome was never recorded, by looking at the host."""
    item = dict(change["object"])
    last = [run for run in unit.runs() if item in run.record().get("packages", [])][-1:]
    if any(run.alive() for run in last):
        detail = "%s still runs, see %s" % (last[0].name, last[0].log)
        return results.outcome(change["id"], "unknown", "busy", detail)
    found = rpm.installed()
    if not last and newest(item, found) == item["from"]:
        return results.outcome(change["id"], "skipped", "not_started", "still %s" % (item["from"] or "absent"))
    code, log = (last[0].exit_code(), last[0].tail()) if last else (None, [])
    return judge(change, found, code, log)
