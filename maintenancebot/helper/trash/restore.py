"""Step `trash.restore`: an item back to its place or to another, never over anything, never through a link.

The file itself goes back by a rename. Where that cannot be, a faithful copy is made in the target's folder, compared,
and named only then; the item goes last.
"""

import os
import stat

from .. import frames
from ..containers import docker_api
from ..files import globs, inodes, renames, untouchable, walk
from ..results import outcome
from . import relocate, remake, saved, store
from .steps import each


def restore(step, out):
    """Each change names an `item`, and `to`: another path, or empty for its own."""
    return each(step, out, _restore)


def _restore(change, _args, out):
    item = store.find(change["object"]["item"])
    try:
        if item.record.get("form") in saved.FORMS:
            return _give_back_object(change, item, out)
        return _give_back(change, item, out)
    finally:
        item.close()
        item.store.close()


def _give_back_object(change, item, out):
    try:
        detail, freed = saved.restore(change, item, out)
    except docker_api.Trouble as error:
        half_done = item.record.get("state") == "restoring"
        return outcome(change["id"], "unknown" if half_done else "failed", error.reason, error.detail)
    return outcome(change["id"], "done", "verified", detail, freed_now=freed)


def _give_back(change, item, out):
    if item.state() not in ("held", "offloaded"):
        raise walk.Refused("vanished", "the item has no bytes any more")
    target = change["object"].get("to") or item.record["path"]
    parts = _components(target)
    folder = _open_parent(parts, item, elsewhere=bool(change["object"].get("to")))
    try:
        before, free = os.fstat(folder), relocate.free_bytes(folder)
        placed = _place(item, folder, parts[-1], target, out)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
        detail = "back at %s" % target + _copy_note(item) + remake.finish(item, target, placed, out)
        freed = relocate.free_bytes(folder) - free
    finally:
        os.close(folder)
    return outcome(change["id"], "done", "verified", detail, freed_now=freed, path=target)


def _place(item, folder, name, target, out):
    """Put the file under its name; lstat of what lies there."""
    if _is_the_file(item) and walk.mount_id(folder) == walk.mount_id(item.store.fd):
        _rename(item, folder, name, target)
    else:
        remake.remake(item, folder, name, target, out)
    os.fsync(folder)
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _is_the_file(item):
    return item.held() is not None and not item.record.get("copied")


def _rename(item, folder, name, target):
    held = item.held()
    item.unsettle()
    item.save(state="restoring", target=target)
    try:
        renames.give(item.fd, store.ITEM, folder, name)
    except OSError as error:
        item.save(state="held")
        item.settle()
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
    """The folder that the file goes to; its own missing folders are made again."""
    anchor = len(parts) if elsewhere else len(globs.components(item.record["root"]))
    try:
        if elsewhere:
            return walk.descend(parts[:-1], anchor)[0]
        return _rebuild(parts[:-1], anchor, item.record["parents"])
    except walk.Refused as error:
        if error.reason != "vanished":
            raise
        raise walk.Refused("missing", "the folder must exist: %s" % error.detail) from error


def _rebuild(parts, anchor, recorded):
    """Make the missing folders with the owner and mode that they had; the allowed tree itself must exist."""
    depth = len(parts) + 1
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
            inner = make_folder(folder, parts[level], recorded[level])
        finally:
            os.close(folder)
        folder = inner
    return folder


def make_folder(parent, name, recorded):
    """Make a folder with its owner and mode in an open one; the caller closes it. Raises Refused."""
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
