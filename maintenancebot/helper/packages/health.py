"""The health gate: what was well before an upgrade or a reboot must be well, and stay so, afterwards.

A single look proves little: a service may die a few seconds after its start, and `Restart=always` hides that. So it is
looked at again and again through the settle time, and restarts are counted.
"""

import time

from . import health_checks, health_containers, health_units

LOOK_SECONDS = 1.0
ALIVE_SECONDS = 5
TELL = 20
"""How many faults an answer names."""

RESTARTS = 2
"""Restarts by itself within the watch that are one too many, wherever in the watch they were."""


def snapshot(args):
    """What is there now; plain JSON, since a record on the disk carries it to a helper that takes over."""
    return {
        "units": health_units.look(),
        "containers": health_containers.look(),
        "checks": health_checks.look(args),
    }


def watch(before, args, out):
    """Watch for the settle time; what was well before and is not any more: [{"kind", "name", "why"}]."""
    units, containers = Watch("unit"), Watch("container")
    end = time.monotonic() + args["settle_seconds"]
    spoke = time.monotonic()
    while True:
        units.take(health_units.look() if before["units"] is not None else None)
        containers.take(health_containers.look() if before["containers"] is not None else None)
        left = end - time.monotonic()
        if left <= 0:
            break
        if time.monotonic() - spoke >= ALIVE_SECONDS:
            out.alive("watches whether all is well")
            spoke = time.monotonic()
        time.sleep(min(LOOK_SECONDS, left))
    bad = units.judge(before["units"], health_units, args)
    bad += containers.judge(before["containers"], health_containers, args)
    return bad + health_checks.missing(before["checks"], args)


def compared(before, args):
    """For the report: how many units, containers and checks were well before, and how many are now."""
    return {"before": well(before, args), "after": well(snapshot(args), args)}


def well(seen, args):
    """How many of each kind are well; None where they cannot be seen."""
    found = {}
    for kind, subject in (("units", health_units), ("containers", health_containers)):
        rows = seen[kind]
        found[kind] = None if rows is None else sum(1 for name, was in rows.items() if subject.counts(name, was, args))
    found["checks"] = sum(1 for told in seen["checks"].values() for fault in told.values() if not fault)
    return found


def words(bad):
    """For people: the first faults in one line."""
    said = ["%(kind)s %(name)s: %(why)s" % fault for fault in bad[:3]]
    return "; ".join(said) + ("; and %d more" % (len(bad) - 3) if len(bad) > 3 else "")


class Watch:
    """What a series of looks at units, or at containers, tells of each."""

    def __init__(self, kind):
        self.kind = kind
        self.began = time.monotonic()
        self.first = None
        self.last = None
        self.starts = {}

    def take(self, seen):
        """Note one look; None when nothing could be seen."""
        if seen is None:
            return
        for name, now in seen.items():
            was = self.last.get(name) if self.last is not None else None
            if was is not None and now["start"] and was["start"] != now["start"]:
                self.starts.setdefault(name, []).append(time.monotonic())
        self.first = seen if self.first is None else self.first
        self.last = seen

    def judge(self, before, subject, args):
        """The faults, by the rules of `subject`."""
        if before is None:
            return []
        if self.last is None:
            return [{"kind": self.kind, "name": "all", "why": "could not be looked at any more"}]
        bad = []
        for name, why in sorted(subject.compare(before, self.last, args).items()):
            bad.append({"kind": self.kind, "name": name, "why": why})
        told = {fault["name"] for fault in bad}
        for name, was in sorted(before.items()):
            if name in told or not subject.counts(name, was, args):
                continue
            why = self.restless(name)
            if why:
                bad.append({"kind": self.kind, "name": name, "why": why})
        return bad

    def restless(self, name):
        """Why something that runs now is not stable, empty when it is.

        One restart early in the watch is forgiven; one in its second half has not proven itself.
        """
        first, last = self.first.get(name), self.last.get(name)
        times = self.starts.get(name, [])
        counted = last["restarts"] - first["restarts"] if first and last else 0
        number = max(counted, len(times))
        seconds = time.monotonic() - self.began
        late = bool(times) and times[-1] - self.began > seconds / 2
        if number >= RESTARTS or (number and late):
            return "restarted %d times by itself within %d s" % (number, seconds)
        return ""
