"""Step `trash.move` and what all steps on files share; `trash.restore` and `trash.purge` have files of their own.

Order of a move: record on the disk, rename, look whether it is what was judged, record again. Killed anywhere, the
file is in its place or the item is whole; `recovery` settles what was interrupted.
"""

import os
import time

from . import frames, inodes, recovery, renames, store, walk
from .purge import purge
from .restore import restore
from .results import Result, outcome
from .source import Source
from .steps import each

__all__ = ["move", "probe", "purge", "recall", "restore"]

SUMMARY = ("change", "task", "action", "run", "path", "identity", "allocated", "quarantined_at", "purge_after")


def move(step, out):
    """Step `trash.move`: each file into the trash of its mount."""
    return each(step, out, _move)


def _move(change, args, _out):
    source = Source(change, args)
    try:
        free = source.free()
        item = new_item(source, change, args)
        try:
            hold(source, item)
            return outcome(
                change["id"],
                "done",
                "verified",
                freed_now=source.free() - free,
                freed_at_purge=item.record["allocated"],
                trash_item=item.id,
            )
        finally:
            item.close()
            item.store.close()
    finally:
        source.close()


def new_item(source, change, args, **more):
    """An item with its intent on the disk, in the store on the file's own mount; close it and its store."""
    place = store.for_mount(source.folder)
    now = int(time.time())
    record = source.record(change, args)
    record.update(quarantined_at=now, purge_after=now + int(args["keep_days"]) * 86400, **more)
    try:
        return place.new(record)
    except BaseException:
        place.close()
        raise


def hold(source, item):
    """Move the file into the item. Raises Refused with the file in its place, if it is not the one that was judged."""
    try:
        source.must_be_same()
        renames.take(source.folder, source.name, item.fd, store.ITEM)
    except BaseException:
        if item.held() is None:
            item.discard()
        raise
    try:
        inodes.check(item.held(), source.expected, inodes.MOVED)
        source.must_be_idle()
        source.must_be_here()
    except walk.Refused as error:
        _put_back(source, item, error)
        raise
    os.fsync(item.fd)
    os.fsync(source.folder)
    try:
        item.save(state="held")
    except OSError:
        pass  # the disk may just have become full; bytes beside an intent are held as well
    source.put_back_times()


def _put_back(source, item, error):
    try:
        renames.give(item.fd, store.ITEM, source.folder, source.name)
    except OSError as trouble:
        item.save(state="held")
        raise walk.Refused(
            error.reason, "%s; kept in the trash as %s: %s" % (error.detail, item.id, trouble.strerror)
        ) from trouble
    os.fsync(source.folder)
    source.put_back_times()
    item.discard()


def probe(args, out):
    """Probe operation `trash`: one finding `item` for each item, or for the one named by `item`. Writes nothing."""
    if os.geteuid() != 0:
        return Result("skipped", "needs_root", "only root can read the trash")
    count = size = unreadable = 0
    for place in store.existing():
        for name in place.ids():
            if args.get("item") and name != args["item"]:
                continue
            found = _look(place, name)
            if found is None:
                continue
            unreadable += found["state"] == "unreadable"
            count, size = count + 1, size + found.get("allocated", 0)
            out.finding("item", name, **found)
        place.close()
    return Result(facts={"items": count, "bytes": size, "unreadable": unreadable})


def _look(place, name):
    where = frames.text(place.path)
    try:
        item = place.item(name)
    except walk.Refused as error:
        if not place.holds_bytes(name):  # ended before its first record, or gone in this moment
            return None
        return {"store": where, "state": "unreadable", "detail": error.detail}
    try:
        state = item.state()
        if state == "nothing":  # an intent that came to nothing
            return None
        return dict({key: item.record.get(key) for key in SUMMARY}, store=where, state=state)
    finally:
        item.close()


def recall(change):
    """What became of a change whose outcome was never recorded; reads only."""
    wanted = change["object"]
    if "item" in wanted:
        return _recall_item(change)
    item_id = _held_items().get(change["id"])
    if item_id:
        return outcome(change["id"], "done", "verified", "lies in the trash as %s" % item_id, trash_item=item_id)
    found = walk.lstat(wanted["path"])
    if found is None:
        return outcome(change["id"], "unknown", "vanished", "neither in its place nor in the trash")
    try:
        inodes.check(found, wanted, inodes.MOVED)
    except walk.Refused as error:
        return outcome(change["id"], "unknown", error.reason, error.detail)
    return outcome(change["id"], "skipped", "not_started", "found untouched")


def _held_items():
    """Change id -> item that holds its bytes; read once, since a run may ask for thousands of changes."""
    if not _index:
        _index.append(dict(recovery.held_items()))
    return _index[0]


_index = []


def _recall_item(change):
    """Of a restore or a purge: as long as the item is held, it was not done."""
    name = change["object"]["item"]
    try:
        item = store.find(name)
    except walk.Refused:
        return _recall_gone(change)
    state = item.state()
    item.close()
    item.store.close()
    if state == "held":
        return outcome(change["id"], "skipped", "not_started", "still in the trash")
    return _recall_gone(change)


def _recall_gone(change):
    """The item has left the trash: for a restore the file must be there, else nobody knows where it went."""
    if change["action"] == "restore_file" and walk.lstat(change["name"]) is None:
        return outcome(change["id"], "unknown", "vanished", "neither in the trash nor at its place")
    return outcome(change["id"], "done", "verified", "the item has left the trash")
