"""Step `trash.restore`: an item back to its place or to another, never over anything, never through a link."""

import os
import stat

from . import exempt, frames, globs, inodes, renames, store, untouchable, walk
from .results import outcome
from .steps import each


def restore(step, out):
    """Each change names an `item`, and `to`: another path, or empty for its own."""
    return each(step, out, _restore)


def _restore(change, _args, _out):
    item = store.find(change["object"]["item"])
    try:
        return _give_back(change, item)
    finally:
        item.close()
        item.store.close()


def _give_back(change, item):
    held = item.held()
    if held is None:
        raise walk.Refused("vanished", "the item has no bytes any more")
    target = change["object"].get("to") or item.record["path"]
    parts = _components(target)
    folder = _open_parent(parts, item, elsewhere=bool(change["object"].get("to")))
    try:
        before, free = os.fstat(folder), _free(folder)
        _place(item, folder, parts[-1], target, held)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        freed = _free(folder) - free
    finally:
        os.close(folder)
    detail = "back at %s" % target + _copy_note(item)
    exempt.note(item, target)
    item.discard()
    return outcome(change["id"], "done", "verified", detail, freed_now=freed, path=target)


def _place(item, folder, name, target, held):
    """Rename the bytes to their name and look at what lies there."""
    item.save(state="restoring", target=target)
    try:
        renames.give(item.fd, store.ITEM, folder, name)
    except OSError as error:
        item.save(state="held")
        raise walk.Refused(walk.reason_of(error), "%s: %s" % (target, error.strerror)) from error
    os.fsync(folder)
    os.fsync(item.fd)
    inodes.check(os.stat(name, dir_fd=folder, follow_symlinks=False), inodes.values(held), inodes.MOVED)


def _components(target):
    try:
        parts = globs.components(target)
    except ValueError as error:
        raise walk.Refused("not_allowed", str(error)) from error
    if len(parts) < 2 or untouchable.reason(parts) == "own_file":
        raise walk.Refused("not_allowed", "%s is no place for a restored file" % target)
    return [frames.raw(part) for part in parts]


def _open_parent(parts, item, elsewhere):
    """The folder that the file goes to, on the store's own mount; its own missing folders are made again."""
    anchor = len(parts) if elsewhere else len(globs.components(item.record["root"]))
    try:
        folder, _ = walk.descend(parts[:-1], anchor)
    except walk.Refused as error:
        if error.reason != "vanished" or elsewhere:
            raise
        folder = _rebuild(parts[:-1], anchor, item.record["parents"])
    if walk.mount_id(folder) != walk.mount_id(item.store.fd):
        os.close(folder)
        raise walk.Refused("other_file_system", "the trash of this item is on another mount than %s" % walk.show(parts))
    return folder


def _rebuild(parts, anchor, recorded):
    """Make the missing folders with the owner and mode that they had; the allowed tree itself must exist."""
    depth = len(parts)
    while depth > anchor:
        depth -= 1
        try:
            folder, _ = walk.descend(parts[:depth], anchor)
            break
        except walk.Refused as error:
            if error.reason != "vanished" or depth <= anchor:
                raise
    for level in range(depth, len(parts)):
        try:
            inner = _make(folder, parts[level], recorded[level])
        finally:
            os.close(folder)
        folder = inner
    return folder


def _make(parent, name, recorded):
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        made = walk.open_folder(name, parent)
    except OSError as error:
        raise walk.Refused(walk.reason_of(error), "%s: %s" % (frames.text(name), error.strerror)) from error
    facts = os.fstat(made)
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077 or os.listdir(made):
        os.close(made)  # swapped by somebody who may write the parent
        raise walk.Refused("changed_since", "%s is not the folder that was made" % frames.text(name))
    os.fchown(made, recorded["uid"], recorded["gid"])
    os.fchmod(made, recorded["mode"])
    os.fsync(made)
    os.fsync(parent)
    return made


def _copy_note(item):
    copy = item.record.get("copy")
    found = walk.lstat(copy["path"]) if copy else None
    same = found is not None and found.st_ino == copy.get("ino")
    return "; its compressed copy %s stays" % copy["path"] if same else ""


def _free(folder):
    found = os.fstatvfs(folder)
    return found.f_bfree * found.f_frsize
