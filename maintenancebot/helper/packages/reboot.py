"""Reboots the host, once, and only if nothing speaks against it; afterwards tells whether all is back."""

import json
import os
import time

from .. import frames, results
from ..host import facts, tools, unit
from . import dpkg, health, restarts, rpm, rpm_history

RECORD = "reboot.json"
DELAY_SECONDS = 5
"""Until the reboot begins, so that the answer can leave and the connection end in good order."""

UNIT = "maintenancebot-reboot"
SCHEDULED = "/run/systemd/shutdown/scheduled"
BOOT_SECONDS = 300
RECALL_SECONDS = 20
HEALTH = {"settle_seconds": 20, "http": [], "tcp": [], "ignore_units": []}


def reboot(step, out):
    """Write down what runs now and let systemd reboot in a few seconds; the controller waits for the new boot id."""
    change = step["changes"][0]
    objection = against(change["object"], step, out)
    if objection:
        return [results.outcome(change["id"], *objection)]
    args = dict(HEALTH, **(step["args"].get("health") or {}))
    boot_id = facts.boot_id()
    os.makedirs(unit.FOLDER, mode=0o700, exist_ok=True)
    record = {"boot_id": boot_id, "at": int(time.time()), "change": change["id"]}
    record.update(why=change["object"]["why"], health=args, before=health.snapshot(args))
    unit.replace(path(), json.dumps(record, sort_keys=True).encode("ascii"))
    error = schedule()
    if error:
        os.unlink(path())
        return [results.outcome(change["id"], "failed", "tool_failed", error)]
    words = "reboots in %d s" % DELAY_SECONDS
    return [results.outcome(change["id"], "unknown", "unfinished", words, scheduled=True, boot_id=boot_id)]


def path():
    """Where the intent of the last reboot lies."""
    return unit.FOLDER + "/" + RECORD


def against(wanted, step, out):
    """(state, reason, detail) of what speaks against the reboot, None when nothing does."""
    if os.geteuid() != 0:
        return "skipped", "needs_root", "a reboot needs root"
    if facts.boot_id() != wanted["boot_id"]:
        return "skipped", "changed_since", "the host was rebooted since"
    if not os.path.isdir("/run/systemd/system") or not tools.find("systemd-run"):
        return "skipped", "unsupported", "reboots need systemd"
    if on_its_way():
        return "nothing", "up_to_date", "the reboot of another task is on its way"
    failed = failed_upgrade(step.get("run"))
    if failed:
        return "skipped", "unhealthy", "the upgrade before it failed: " + failed
    if not due():
        return "nothing", "up_to_date", "no reboot is due any more"
    if in_vain():
        return "skipped", "no_effect", "the last reboot did not change it: " + "; ".join(in_vain())
    if half_done():
        return "skipped", "packages_broken", "no reboot with half-done packages"
    busy = at_work() or inhibitors(out)
    return ("skipped", "busy", busy) if busy else None


def half_done():
    """Whether packages are between two states, by whichever database the host has."""
    dpkg_says = os.path.exists(dpkg.STATUS) and (dpkg.interrupted() or dpkg.broken(dpkg.packages()))
    return bool(dpkg_says or rpm_history.interrupted())


def due():
    """Whether a signal for a reboot is there now, after the upgrades that came before."""
    return restarts.reboot()["required"] is True or bool(restarts.deleted_code("/proc/1"))


def on_its_way():
    """Whether our own reboot is scheduled already, by an earlier step."""
    return tools.run([tools.find("systemctl"), "--quiet", "is-active", UNIT + ".timer"], limit=30).ok


def in_vain():
    """The signals that our last reboot was for and that are there still, if there is no other: no loop of reboots.

    A newer kernel that the boot loader does not start is one; the flag in /run does not outlive a reboot.
    """
    record = read()
    if not record or record.get("boot_id") == facts.boot_id() or restarts.deleted_code("/proc/1"):
        return []
    signals = [one for one in restarts.reboot().get("signals", []) if one.startswith("kernel ")]
    known = [one for one in signals if one in record.get("why", [])]
    return known if known == restarts.reboot().get("signals", []) else []


def failed_upgrade(run_id):
    """What failed in an upgrade of this very run of the controller, empty when nothing did."""
    for run in unit.runs() if run_id else ():
        if run.record().get("run") == run_id:
            faults = [one["detail"] for one in run.notes().get("outcomes", []) if one["state"] == "failed"]
            if faults:
                return faults[0]
    return ""


def at_work():
    """Who is installing packages, or shutting down already; empty when nobody is."""
    for run in unit.runs():
        if run.alive():
            return "%s still runs, see %s" % (run.name, run.log)
    if os.path.exists(SCHEDULED):
        return "a shutdown is scheduled already"
    holders = [dpkg.holder(lock) for lock in (*dpkg.LOCKS, *rpm.LOCKS)]
    return next(("%s is at work" % who for who in holders if who), "")


def inhibitors(out):
    """Who asks systemd not to shut down now; empty when nobody does, or when nobody could ask."""
    program = tools.find("busctl")
    if program is None:
        return ""
    name = "org.freedesktop.login1"
    words = ["--json=short", "call", name, "/org/freedesktop/login1", name + ".Manager", "ListInhibitors"]
    answer = tools.run([program, *words], out=out, limit=30)
    if not answer.ok:
        return ""
    try:
        rows = json.loads(frames.text(answer.stdout))["data"][0]
        told = ["%s: %s" % (who, why) for what, who, why, mode, _uid, _pid in rows if blocks(what, mode)]
    except (ValueError, LookupError, TypeError):
        return ""
    return "; ".join(told[:3])


def blocks(what, mode):
    """Whether an inhibitor forbids shutting down, and does not only delay it."""
    return "shutdown" in what.split(":") and mode != "delay"


def schedule():
    """Let systemd reboot in a few seconds; the fault in words when it would not."""
    argv = [tools.find("systemd-run"), "--quiet", "--collect", "--no-ask-password", "--unit=" + UNIT]
    argv += ["--on-active=%d" % DELAY_SECONDS, "--timer-property=AccuracySec=100ms"]
    answer = tools.run([*argv, "--", tools.find("systemctl"), "--no-ask-password", "reboot"], limit=30)
    return "" if answer.ok else "systemd-run: " + answer.error()


def probe(args, out):
    """Whether the host has rebooted since `boot_id`, and then whether all that ran before is back: `bad`."""
    found = {"boot_id": facts.boot_id()}
    if found["boot_id"] == args["boot_id"]:
        return results.Result(facts=found)
    record = read()
    if record.get("boot_id") != args["boot_id"]:
        return results.Result("unknown", "unfinished", "the record of what ran before is not there", found)
    booted(out)
    found["bad"] = health.watch(record["before"], record["health"], out)
    found["signals"] = restarts.reboot().get("signals", [])
    return results.Result(detail=health.words(found["bad"]), facts=found)


def read():
    """The intent of the last reboot; empty when there is none that can be read."""
    try:
        with open(path(), "rb") as stream:
            return json.loads(stream.read().decode("ascii"))
    except (OSError, ValueError):
        return {}


def booted(out, seconds=BOOT_SECONDS):
    """Wait until systemd is done with starting, for a while; whether it is."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = tools.run([tools.find("systemctl"), "is-system-running"], limit=30)
        if frames.text(answer.stdout).strip() not in ("initializing", "starting"):
            return True
        if out is not None:
            out.alive("waits until the host has booted")
        time.sleep(1)
    return False


def recall(change):
    """What became of a reboot whose outcome was never recorded: a new boot id of its own record proves it."""
    record = read()
    if record.get("change") != change["id"]:
        if facts.boot_id() == change["object"]["boot_id"]:
            return results.outcome(change["id"], "skipped", "not_started", "not rebooted")
        return results.outcome(change["id"], "unknown", "unfinished", "rebooted, and not by a record of ours")
    if facts.boot_id() == record["boot_id"]:
        if on_its_way():
            return results.outcome(change["id"], "unknown", "busy", "it is about to happen")
        return results.outcome(change["id"], "failed", "not_back", "it was scheduled, and has not happened")
    if not booted(None, RECALL_SECONDS):
        return results.outcome(change["id"], "unknown", "busy", "rebooted, and still starting")
    bad = health.watch(record["before"], dict(record["health"], settle_seconds=0), None)
    if bad:
        return results.outcome(change["id"], "failed", "unhealthy", "rebooted; " + health.words(bad), bad=bad)
    return results.outcome(change["id"], "done", "verified", "rebooted")
