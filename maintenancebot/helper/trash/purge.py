"""Step `trash.purge`: the one real delete of the product. Only items past their time, by a clock that makes sense."""

import time

from ..files import walk
from ..results import outcome
from . import remake, store
from .steps import each

MAX_SKEW = 300
EARLIEST = 1577836800  # 2020: a clock before it is wrong
DAY = 86400

_totals = {"files": 0, "bytes": 0}
"""What this execution has purged, against the caps."""


def purge(step, out):
    """Each change names an `item`; args: now (controller), cap_files, cap_bytes for the whole execution.

    With `for_space` an item may go after `minimum_days` in the trash, before its own time.
    """
    return each(step, out, _purge)


def _purge(change, args, out):
    item = store.find(change["object"]["item"])
    place = item.store
    try:
        free = place.free()
        try:
            size = _must_be_due(change["object"], item, args)
            _delete(item, out)
        finally:
            item.close()  # an open folder keeps its space
        _totals["files"] += 1
        _totals["bytes"] += size
        return outcome(change["id"], "done", "verified", freed_now=place.free() - free, freed_at_purge=0)
    finally:
        place.close()


def _delete(item, out):
    if item.record.get("offload"):
        remake.forget(item, out)
    else:
        item.drop()


def _must_be_due(expected, item, args):
    """How many bytes the item takes on this host. Raises Refused."""
    item.must_be(expected)
    now = time.time()
    if now < EARLIEST or abs(now - args["now"]) > MAX_SKEW:
        raise walk.Refused("clock_skew", "host and controller clocks differ by %d s" % (now - args["now"]))
    until = _due(item, args, now)
    if now < until:
        raise walk.Refused("too_young", "to be kept for another %d hours" % ((until - now) // 3600 + 1))
    size = item.stored()
    if _totals["files"] + 1 > args["cap_files"] or _totals["bytes"] + size > args["cap_bytes"]:
        raise walk.Refused("over_cap", "the cap of one run is reached")
    return size


def _due(item, args, now):
    """From when on the item may go. Raises Refused when its times make no sense."""
    since, until = item.record.get("quarantined_at"), item.record.get("purge_after")
    if not isinstance(since, int) or not isinstance(until, int) or since > now or until <= since:
        raise walk.Refused("time_implausible", "the record's times make no sense")
    if not args.get("for_space"):
        return until
    days = args.get("minimum_days")
    if not isinstance(days, int) or days < 1:
        raise walk.Refused("not_configured", "no minimum stay is configured")
    return min(until, since + days * DAY)
