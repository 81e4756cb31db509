"""Settles what an earlier execution left half done, once before the first step on files, under the host's lock."""

import os
import time

from . import exempt, frames, globs, inodes, manifest, store, walk

_done = []


def once():
    """Recover at the first call of this execution."""
    if not _done:
        _done.append(True)
        recover()


def recover():
    """Bring each item into a settled state; an item that cannot be read is left as it is."""
    for place in store.existing():
        try:
            for name in list(place.ids()):
                _settle(place, name)
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
            if item.held() is not None:
                yield item.record.get("change"), name
            item.close()
        place.close()


def _settle(place, name):
    try:
        item = place.item(name)
    except walk.Refused:
        _remove_if_empty(place, name)
        return
    try:
        recorded = item.record.get("state")
        held = item.held()
        if held is not None:
            if recorded == "restoring" and held.st_nlink == 2:
                _finish_link(item, held)
            elif recorded != "held":
                item.save(state="held")
        elif recorded == "intent":
            _undo_copy(item)
            item.discard()
        elif recorded == "restoring":
            exempt.note(item, item.record["target"])
            item.discard()
        elif recorded == "purging":
            item.discard()
    except (OSError, walk.Refused):
        pass  # tried again before the next run's first step
    finally:
        item.close()


def _remove_if_empty(place, name):
    """The folder of an item that was killed before its first record, or after its last."""
    try:
        folder = walk.open_folder(name, place.fd)
    except OSError:
        return
    try:
        if not set(walk.names(folder)) - {manifest.NAME + b".new"}:
            manifest.remove(folder, manifest.NAME + b".new")
            os.rmdir(name, dir_fd=place.fd)
    except OSError:
        pass
    finally:
        os.close(folder)


def _finish_link(item, held):
    """Killed between link and unlink of a restore: the bytes have both names."""
    there = walk.lstat(item.record["target"])
    if there is not None and (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
        os.unlink(store.ITEM, dir_fd=item.fd)
        exempt.note(item, item.record["target"])
        item.discard()
    else:
        item.save(state="held")


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
