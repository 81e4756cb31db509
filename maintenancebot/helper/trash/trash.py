"""Step `trash.move` and what all steps on files share; restore, purge and relocate have files of their own.

Order of a move: record on the disk, rename, look whether it is what was judged, record again. Killed anywhere, the
file is in its place or the item is whole; `recovery` settles what was interrupted. Only a held item is relocated.
"""

import os
import time

from .. import frames
from ..files import faithful, inodes, renames, walk
from ..results import Result, outcome
from . import recovery, store
from .purge import purge
from .relocate import relocate as into_place
from .relocation import measured, relocate
from .restore import restore
from .source import Source
from .steps import each

__all__ = ["move", "probe", "purge", "recall", "relocate", "restore"]

HERE = "here"
SUMMARY = (
    "change",
    "task",
    "action",
    "run",
    "path",
    "identity",
    "allocated",
    "quarantined_at",
    "purge_after",
    "link",
    "volume",
    "image",
)


def move(step, out):
    """Step `trash.move`: each file into the trash of its mount, and then where args `keep` says."""
    return each(step, out, _move)


def _move(change, args, out):
    item, free = _take(change, args)
    origin = os.dup(item.store.fd)
    try:
        item, trouble = _keep(item, args, out)
        reason = "no_effect" if trouble else "verified"
        return outcome(change["id"], "done", reason, trouble, **measured(item, origin, free))
    finally:
        os.close(origin)
        item.close()
        item.store.close()


def _take(change, args):
    """The item that holds the file now, and what was free on its file system before."""
    source = Source(change, args)
    try:
        free = source.free()
        item = new_item(source, change, args)
        try:
            hold(source, item)
        except BaseException:
            item.close()
            item.store.close()
            raise
        return item, free
    finally:
        source.close()  # an open file keeps its space


def _keep(item, args, out):
    """The item where it is to be kept, and why not when it stays here."""
    into = args.get("keep") or HERE
    if into == HERE or item.record.get("link") is not None:
        return item, ""
    try:
        return into_place(item, into, args, out), ""
    except walk.Refused as error:
        why = "%s: %s" % (error.reason, error.detail)
    except OSError as error:
        why = "%s: %s" % (walk.reason_of(error), error.strerror)
    return item, "in the trash, but its space is not freed: %s" % why


def new_item(source, change, args, **more):
    """An item with its intent on the disk, in the store on the file's own mount; close it and its store."""
    place = store.for_mount(source.folder)
    now = int(time.time())
    record = dict(source.record(change, args), **_beyond(source))
    record.update(quarantined_at=now, purge_after=now + int(args["keep_days"]) * 86400, **more)
    try:
        return place.new(record)
    except BaseException:
        place.close()
        raise


def _beyond(source):
    """What of the file no stat tells."""
    return {"attributes": {} if source.is_link else faithful.attributes(source.fd)}


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
        item.settle()
    except OSError:
        pass  # the disk may just have become full; bytes beside an intent are held as well
    source.put_back_times()


def _put_back(source, item, error):
    try:
        renames.give(item.fd, store.ITEM, source.folder, source.name)
    except OSError as trouble:
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
    replaced = store.superseded()
    for place in store.existing():
        for name in place.ids():
            if (args.get("item") or name) != name or replaced.get(name, place.path) != place.path:
                continue
            found = _look(place, name)
            if found is None:
                continue
            unreadable += found["state"] == "unreadable"
            count, size = count + 1, size + found.get("stored_bytes", 0)
            out.finding("item", name, **found)
        place.close()
    return Result(facts={"items": count, "bytes": size, "unreadable": unreadable})


def _look(place, name):
    where = {"store": frames.text(place.path), "dev": os.fstat(place.fd).st_dev}
    try:
        item = place.item(name)
    except walk.Refused as error:
        if not place.holds_bytes(name):  # ended before its first record, or gone in this moment
            return None
        return dict(where, state="unreadable", detail=error.detail)
    try:
        state = item.state()
        if state in ("nothing", "restored", "purged"):  # recovery takes away what is left of these
            return None
        return dict({key: item.record.get(key) for key in SUMMARY}, **dict(where, state=state, **_form(item)))
    finally:
        item.close()


def _form(item):
    offload = item.record.get("offload") or {}
    return {
        "form": item.record.get("form", "file"),
        "stored_bytes": item.stored(),
        "offload": "s3://%s/%s" % (offload["bucket"], offload["key"]) if offload else "",
    }


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
    if state in ("held", "offloaded"):
        return _recall_kept(change, item)
    return _recall_gone(change)


def _recall_kept(change, item):
    """The item is here: a relocation may have been done, a restore or purge was not."""
    if change["action"] == "relocate_item" and _lies_as(item) == change["object"].get("into"):
        return outcome(change["id"], "done", "verified", "lies where it was to go")
    return outcome(change["id"], "skipped", "not_started", "still in the trash")


def _lies_as(item):
    """The word for how an item is kept; its record alone is read."""
    record = item.record
    if record.get("offload"):
        return "offloaded"
    if record.get("form") == "gzip":
        return "compressed"
    return "elsewhere" if record.get("copied") else HERE


def _recall_gone(change):
    """The item has left the trash: for a restore the file must be there, else nobody knows where it went."""
    if change["action"] == "restore_file" and walk.lstat(change["name"]) is None:
        return outcome(change["id"], "unknown", "vanished", "neither in the trash nor at its place")
    return outcome(change["id"], "done", "verified", "the item has left the trash")
