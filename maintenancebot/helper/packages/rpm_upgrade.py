"""The upgrade with dnf or zypper: one transaction, checked again, run detached, judged by what is installed."""

import os
import re
import time

from .. import frames, results
from ..host import overlaid, tools, unit
from . import dpkg, gate, health, managers, restarts, rollback, rpm, rpm_history, rpm_look, snapshot_hook, transactions
from .transactions import Refused, check_versions, check_words

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


def upgrade(step, out):
    """Upgrade exactly the packages of a step, all or none, and say of each what is installed afterwards."""
    changes, args = step["changes"], step["args"]
    return transactions.make(
        changes,
        out,
        lambda wanted: begin(wanted, args, out, step),
        lambda run: watched(run, changes, args, measure(run, changes), out),
        (rpm.RpmError, overlaid.CannotCover, unit.StartError, OSError),
    )


def begin(wanted, args, out, about):
    """Check everything again and start the detached run; Refused when the host is not as the plan saw it."""
    if os.geteuid() != 0:
        raise Refused("needs_root", "upgrading packages needs root")
    check_words(wanted, PLAIN)
    locked = dpkg.wait_for_locks(args["lock_timeout"], out, [path for path in rpm.LOCKS if os.path.exists(path)])
    if locked:
        raise Refused("busy", locked)
    if rpm_history.interrupted():
        raise Refused("packages_broken", "dnf's last transaction was interrupted; see `dnf history`")
    found = rpm.installed(out)
    check_versions(wanted, lambda item: newest(item, found))
    asker = rpm_look.asker_for(managers.choose().name, out)
    words = [asker.word(i["package"], i["to"], i["architecture"]) for i in wanted if i["from"]]
    check_transaction(wanted, found, asker, words)
    record = {"manager": asker.name, "packages": [dict(item) for item in wanted], "run": about.get("run", "")}
    if args.get("health"):
        record["before"] = health.snapshot(args["health"])
    environment = tools.environment(ZYPP_LOCK_TIMEOUT=str(int(args["lock_timeout"])))
    name = transactions.new_name()
    snapshot_hook.make(args, name, out)
    return unit.start(name, asker.argv(words), environment, record)


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


def watched(run, changes, args, told, out):
    """The outcomes after the health gate; nothing is taken back. They are kept on the host for who never heard them."""
    about = {"watched_seconds": 0, "bad": []}
    gate.note(run, [], "watching")
    why = gate.broken(told)
    if not why and all(outcome["state"] == "done" for outcome in told):
        why = gate.watched(run, args, told, about, out)
    if why:
        remember([change["object"] for change in changes], told, why)
    if told:
        told[0]["measured"]["health"] = about
    gate.note(run, told, "ended")
    return told


def remember(items, told, why):
    """Note which versions failed: those that are not whole, else all of the run, since any may have broken it."""
    faulty = [item for item, one in zip(items, told) if one["reason"] == gate.BROKEN]  # noqa: B905  Python 3.6
    try:
        rollback.remember(faulty or items, why)
    except OSError:
        pass  # a full disk; the failure itself is told all the same


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
    """What became of a change whose outcome was never recorded: as the run noted it, else by looking at the host."""
    item = dict(change["object"])
    last = transactions.last_with(item)
    if last and last.alive():
        detail = "%s still runs, see %s" % (last.name, last.log)
        return results.outcome(change["id"], "unknown", "busy", detail)
    found = rpm.installed()
    if last:
        return gate.recalled(last, change, judge(change, found, last.exit_code(), last.tail()))
    if newest(item, found) == item["from"]:
        return results.outcome(change["id"], "skipped", "not_started", "still %s" % (item["from"] or "absent"))
    return judge(change, found, None, [])
