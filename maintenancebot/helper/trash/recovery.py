"""Settles what an earlier execution left half done, once before the first step on files, under the host's lock."""

import os
import time

from .. import frames
from ..files import globs, inodes, walk
from . import exempt, manifest, relocate, remake, saved, store
from .item import BYTES, LEFTOVERS, PARTIAL

_done = []


def once(out):
    """Recover at the first call of this execution."""
    if not _done:
        _done.append(True)
        recover(out)


def recover(out):
    """Bring each item that is not settled into a settled state; one that cannot be read is left as it is."""
    for place in store.existing():
        try:
            for name in list(place.unsettled()):
                _settle(place, name, out)
            exempt.forget_old(place, time.time())
        finally:
            place.close()


def held_items():
    """Yield (change id, item id) for each item that holds its bytes; reads only."""
    for place in store.existing():
        for name in place.ids():
            try:
                item = place.item(name)
            except walk.Refused:
                continue
            if item.state() in ("held", "offloaded"):
                yield item.record.get("change"), name
            item.close()
        place.close()


def _settle(place, name, out):
    try:
        item = place.item(name)
    except walk.Refused:
        _remove_if_empty(place, name)
        return
    try:
        _bring(item, out)
    except (OSError, walk.Refused):
        pass  # tried again before the next run's first step
    finally:
        item.close()


def _bring(item, out):
    if item.is_going() or item.holds_candidate():
        item.drop()
        return
    if item.record.get("previous") and not _is_one(item):
        return
    for name in (PARTIAL, manifest.BESIDE):
        manifest.remove(item.fd, name)
    recorded = item.record.get("state")
    if item.record.get("form") in saved.FORMS and recorded in ("intent", "removing", "restoring"):
        saved.settle(item, out)
    elif recorded == "restoring":
        _restoring(item, out)
    elif item.record.get("offload"):
        if recorded == "purging":
            remake.forget(item, out)
        else:
            relocate.finish_offload(item)
    elif item.held() is not None:
        _hold(item)
    elif recorded == "intent":
        _undo_copy(item)
        item.discard()
    elif recorded == "purging":
        item.discard()
    else:
        item.settle()  # lost: listed, and nothing can be done


def _hold(item):
    if item.record.get("candidate"):
        item.save(identity=inodes.values(item.held()))  # what changed places with ours, whatever the plan named
    if item.record.get("state") == "held" and not item.record.get("next"):
        item.settle()
    else:
        relocate.adopt(item)


def _is_one(item):
    """Make one of a copy and the item that it replaces; False when this item is gone, or nothing can be done now."""
    older = _older(item)
    if item.held() is None:
        if older is not None:
            item.discard()
            _close(older)
        return False
    if older is not None:
        try:
            older.drop()
        finally:
            _close(older)
    elif not _has_store(item.record["previous"]["store"]):
        return False  # not mounted now
    item.save(previous=None)
    return True


def _older(item):
    wanted = item.record["previous"]
    for place in store.existing():
        if frames.text(place.path) == wanted["store"]:
            try:
                return place.item(wanted["item"])
            except walk.Refused:
                pass
        place.close()
    return None


def _has_store(path):
    found = False
    for place in store.existing():
        found = found or frames.text(place.path) == path
        place.close()
    return found


def _close(item):
    item.close()
    item.store.close()


def _remove_if_empty(place, name):
    """The folder of an item that was killed before its first record, or after its last."""
    try:
        folder = walk.open_folder(name, place.fd)
    except OSError:
        return
    try:
        if not set(walk.names(folder)) - set(LEFTOVERS):
            for leftover in LEFTOVERS:
                manifest.remove(folder, leftover)
            os.rmdir(name, dir_fd=place.fd)
    except OSError:
        pass
    finally:
        os.close(folder)


def _restoring(item, out):
    """Killed in a restore: the file is back, has both names, or is not back."""
    target, held = item.record["target"], item.held()
    there = walk.lstat(target)
    linked = held is not None and there is not None and os.path.samestat(there, held)
    moved = held is None and not item.record.get("offload")
    _remove_temporary(item)
    if linked:
        os.unlink(BYTES, dir_fd=item.fd)
        moved = True
    if moved and there is None:
        item.discard()  # it was there, and somebody else took it
    elif moved or remake.is_published(item):
        remake.finish(item, target, there, out)
    else:
        item.save(state=item.place(), restored=None, temporary=None, target=None)
        item.settle()


def _remove_temporary(item):
    """What a restore made before it had its name."""
    name = item.record.get("temporary")
    if not name:
        return
    parts = [frames.raw(part) for part in globs.components(item.record["target"])]
    try:
        folder, _ = walk.descend(parts[:-1], len(parts))
    except walk.Refused:
        return
    try:
        manifest.remove(folder, frames.raw(name))
    finally:
        os.close(folder)


def _undo_copy(item):
    """Remove what a compression left whose file is still in its place: its temporary file, or its linked copy."""
    copy = item.record.get("copy")
    if not copy:
        return
    parts = [frames.raw(part) for part in globs.components(item.record["path"])]
    folder, _ = walk.descend(parts[:-1], len(globs.components(item.record["root"])))
    try:
        _remove_exactly(folder, frames.raw(copy["temporary"]), copy, None)
        inodes.check(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False), item.record["identity"], inodes.MOVED)
        _remove_exactly(folder, parts[-1] + b".gz", copy, copy.get("mtime_ns"))
    except OSError:
        pass  # the file went elsewhere: then the copy stays
    finally:
        os.close(folder)


def _remove_exactly(folder, name, copy, mtime_ns):
    """Unlink a name if it stands for the very copy that was written; a temporary one may not know its inode yet."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return
    if copy.get("ino") in (None, found.st_ino) and mtime_ns in (None, found.st_mtime_ns):
        os.unlink(name, dir_fd=folder)
