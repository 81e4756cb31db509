"""What follows an upgrade: is all that was well before still well; if not, the way back, when the controller agrees."""

import time

from . import dpkg, health, marks, restarts, rollback, weights

BROKEN = "packages_broken"
SETTLED = ("rolled_back", "rollback_failed")
NOT_WATCHED = "health was not watched"


def conclude(run, changes, args, told, out):
    """The outcomes of an upgrade that has ended: `told` by the versions, then by the health gate and the rollback."""
    note(run, [], "watching")
    marks.restore(run.record().get("automatic", []))
    measured = {"health": {"watched_seconds": 0, "bad": []}}
    why = broken(told)
    if not why and any(one["state"] == "done" for one in told):
        why = watched(run, args, told, measured["health"], out)
    if why:
        remember(run, changes, told, measured["health"]["bad"], why)
        measured["rollback"] = refused(args)
        note(run, told, "failed")
        if args.get("rollback"):
            measured["rollback"] = take_back(run, changes, args, told, why, out)
    if told:
        told[0]["measured"].update(aftermath(run, out), **measured)
    note(run, told, "ended")
    return told


def broken(told):
    """The faults of packages that are not whole, empty when there are none."""
    return "; ".join(one["detail"] for one in told if one["reason"] == BROKEN)[:500]


def watched(run, args, told, about, out):
    """Watch the host; what is bad, in words, which fails all that was done. Empty when all is well, or not watched."""
    before = run.record().get("before")
    if before is None or not args.get("health"):
        return ""
    bad = health.watch(before, args["health"], out)
    about.update(health.compared(before, args["health"]), bad=bad[: health.TELL])
    about["watched_seconds"] = args["health"]["settle_seconds"]
    why = health.words(bad)
    for one in told if bad else ():
        if one["state"] == "done":
            one.update(state="failed", reason="unhealthy", detail=why[:1000])
    return why


def remember(run, changes, told, bad, why):
    """Note which versions failed: those that are not whole, or own the unit that died; else all of the run."""
    items = [change["object"] for change in changes]
    faulty = [c["object"] for c, one in zip(changes, told) if one["reason"] == BROKEN]  # noqa: B905  Python 3.6
    units = (run.record().get("before") or {}).get("units")
    try:
        rollback.remember(faulty or rollback.culprits(items, bad, units, dpkg.packages()), why)
    except OSError:
        pass  # a full disk; the failure itself is told all the same


def refused(args):
    """What is told of a rollback that is not wanted."""
    return {"wanted": bool(args.get("rollback")), "packages": [], "not_undone": {}, "says": rollback.SAYS}


def take_back(run, changes, args, told, why, out):
    """Undo what can be undone, once, when the controller agrees; brings the outcomes up to date."""
    record = run.record()
    wanted = [change["object"] for change in changes]
    way = rollback.way_back(wanted, record.get("old", {}), record.get("missing", {}), args.get("never_roll_back", ()))
    names = [item["package"] for item in way.items]
    faults = {}
    if names:
        answer = out.ask("roll_back", packages=names)
        if answer.get("go") is not True:
            words = "not allowed now: %s" % " ".join(filter(None, [answer.get("refused"), answer.get("detail")]))
            way = way.nothing(words)
        else:
            faults = rollback.take_back(run, way, args["lock_timeout"], out)
    still = proven(record, args, way, faults, out)
    for change, one in zip(changes, told):  # noqa: B905  Python 3.6
        settle(one, change["object"], way, faults, why, still)
    back = [item["package"] for item in way.items if item["package"] not in faults]
    return dict(refused(args), packages=back, failed=faults, not_undone=way.not_undone, still_bad=still)


def proven(record, args, way, faults, out):
    """What is still not well after the rollback, in words."""
    if not way.items or faults or record.get("before") is None or not args.get("health"):
        return ""
    return health.words(health.watch(record["before"], args["health"], out))


def settle(one, item, way, faults, why, still):
    """Say of one change what the rollback made of it."""
    name = item["package"]
    if name in way.not_undone:
        one["detail"] = ("%s; not rolled back: %s" % (why, way.not_undone[name]))[:1000]
        if one["state"] == "done":
            one.update(state="failed", reason="unhealthy")
    elif any(done["package"] == name for done in way.items):
        trouble = faults.get(name) or (still and "%s is back, and still: %s" % (item["from"], still))
        words = trouble or "%s is installed again" % item["from"]
        reason = "rollback_failed" if trouble else "rolled_back"
        one.update(state="failed", reason=reason, detail=("%s; %s" % (why, words))[:1000])
        one["measured"]["installed"] = installed(item)


def installed(item):
    """The version of a package that is installed now, empty when there is none."""
    package = weights.installed(item["package"], item["architecture"], dpkg.packages())
    return package.version if package else ""


def note(run, told, phase):
    """Keep the outcomes on the host, for a controller that never heard them."""
    try:
        run.note(phase=phase, outcomes=[{key: one[key] for key in one if key != "measured"} for one in told])
    except OSError:
        pass  # a full disk; the versions tell the most of it


def recalled(run, change, by_versions):
    """One outcome of a run that has ended, as it was noted; else by the versions alone."""
    item = change["object"]
    for one in run.notes().get("outcomes", []):
        if one["change"] == change["id"]:
            one["measured"] = by_versions["measured"]
            if one["reason"] not in SETTLED and rollback.of(run) and installed(item) == item["from"]:
                detail = "%s; %s is installed again; %s" % (one["detail"], item["from"], NOT_WATCHED)
                one.update(state="failed", reason="rolled_back", detail=detail[:1000])
            return one
    if by_versions["state"] == "done" and run.record().get("before") is not None:
        by_versions["detail"] = NOT_WATCHED
    return by_versions


def aftermath(run, out):
    """The state the whole host is left in."""
    return {
        "unit": run.name,
        "log": run.log,
        "exit_code": run.exit_code(),
        "seconds": round(max(0.0, time.time() - run.started()), 1),
        "broken": dpkg.broken(dpkg.packages()) or dpkg.audit(out),
        "kept_configuration": dpkg.new_configuration(run.started() - 1),
        "restart_needed": restarts.outdated(),
        "reboot": restarts.reboot(),
    }
