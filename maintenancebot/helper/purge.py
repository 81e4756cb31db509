"""Step `trash.purge`: the one real delete of the product. Only items past their time, by a clock that makes sense."""

import os
import time

from . import store, walk
from .results import outcome
from .steps import each

MAX_SKEW = 300
EARLIEST = 1577836800  # 2020: a clock before it is wrong

_totals = {"files": 0, "bytes": 0}
"""What this execution has purged, against the caps."""


def purge(step, out):
    """Each change names an `item`; args: now (controller), cap_files, cap_bytes for the whole execution."""
    return each(step, out, _purge)


def _purge(change, args, _out):
    item = store.find(change["object"]["item"])
    try:
        held = _must_be_due(change["object"], item, args)
        free = _free(item)
        item.save(state="purging")
        os.unlink(store.ITEM, dir_fd=item.fd)
        os.fsync(item.fd)
        item.discard()
        _totals["files"] += 1
        _totals["bytes"] += held.st_blocks * 512
        return outcome(change["id"], "done", "verified", freed_now=_free(item) - free, freed_at_purge=0)
    finally:
        item.close()
        item.store.close()


def _must_be_due(expected, item, args):
    """lstat of the bytes to delete. Raises Refused."""
    held = item.held()
    if held is None:
        raise walk.Refused("vanished", "the item has no bytes any more")
    if (held.st_ino, held.st_size) != (expected["ino"], expected["size"]):
        raise walk.Refused("changed_since", "the item holds other bytes than the plan names")
    now = time.time()
    if now < EARLIEST or abs(now - args["now"]) > MAX_SKEW:
        raise walk.Refused("clock_skew", "host and controller clocks differ by %d s" % (now - args["now"]))
    since, until = item.record.get("quarantined_at"), item.record.get("purge_after")
    if not isinstance(since, int) or not isinstance(until, int) or since > now or until <= since:
        raise walk.Refused("time_implausible", "the record's times make no sense")
    if now < until:
        raise walk.Refused("too_young", "to be kept for another %d hours" % ((until - now) // 3600 + 1))
    size = held.st_blocks * 512
    if _totals["files"] + 1 > args["cap_files"] or _totals["bytes"] + size > args["cap_bytes"]:
        raise walk.Refused("over_cap", "the cap of one run is reached")
    return held


def _free(item):
    found = os.fstatvfs(item.store.fd)
    return found.f_bfree * found.f_frsize
