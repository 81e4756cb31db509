"""Items of the trash that hold what a container daemon had: volumes and images, as archives.

An item is `removing` from the moment its archive is whole until the daemon is seen to have let the object go. Killed in
between, it is looked at again: an object that is still there as it was needs no archive; in doubt both stay.
"""

import importlib
import os
import time

from ..containers import docker_api
from ..files import faithful, inodes, walk
from . import manifest, store
from .item import BYTES, PARTIAL

FORMS = {"volume": "containers.volume_saved", "image": "containers.images"}
"""Form of an item -> the module of the helper that has `is_as_saved`, `restore` and `settle_restore`."""


def new_item(folder, change, args, form, about):
    """An item in the trash of an open folder's mount, with its intent on the disk; close it and its store."""
    place, now = store.for_mount(folder), int(time.time())
    record = {
        "path": "%s %s" % (form, change["name"]),
        "root": "",
        "parents": [],
        "identity": inodes.values(os.fstat(folder)),
        "allocated": 0,
        "atime_ns": 0,
        "attributes": {},
        "form": form,
        form: about,
        "change": change["id"],
        "task": change.get("task", ""),
        "action": change["action"],
        "run": args.get("run", ""),
        "quarantined_at": now,
        "purge_after": now + int(args["keep_days"]) * 86400,
    }
    try:
        return place.new(record)
    except BaseException:
        place.close()
        raise


def not_gone(error):
    """The refusal of an object that the daemon has: whatever vanished in the middle of it was not the object."""
    reason = error.reason if isinstance(error, walk.Refused) else walk.reason_of(error)
    detail = error.detail if isinstance(error, walk.Refused) else str(error)
    return walk.Refused("changed_since" if reason == "vanished" else reason, detail)


def partial(item):
    """An open empty file for the archive."""
    manifest.remove(item.fd, PARTIAL)
    return os.open(PARTIAL, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=item.fd)


def whole(item, archive, about, out):
    """The archive was written and verified: it is what the item holds, and the object may go now."""
    digest = faithful.digest(archive, out)
    os.fsync(archive)
    found = os.fstat(archive)
    form = item.record["form"]
    os.rename(PARTIAL, BYTES, src_dir_fd=item.fd, dst_dir_fd=item.fd)
    os.fsync(item.fd)
    item.save(
        state="removing",
        identity=inodes.values(found),
        allocated=found.st_blocks * 512,
        atime_ns=found.st_atime_ns,
        sha256=digest,
        **{form: dict(item.record[form], **about)},
    )


def keep(item):
    """The object is gone: the item is all there is of it."""
    item.save(state="held")
    item.settle()


def drop(item):
    """Let an archive go that nobody needs, or what there is of one."""
    manifest.remove(item.fd, PARTIAL)
    item.drop()


def settle(item, out):
    """Recovery of an item whose object was being removed, or brought back, when the helper was killed."""
    if item.record.get("state") == "intent":
        drop(item)  # nothing is removed before the record says so
        return
    if item.record.get("state") == "restoring":
        _module(item).settle_restore(item, out)
        return
    try:
        same = _module(item).is_as_saved(item.record, out)
    except docker_api.Trouble:
        return  # looked at again; until then it is listed and can be restored
    if same:
        drop(item)
    else:
        keep(item)


def restore(change, item, out):
    """Give back what an item holds; (detail, bytes freed). Raises Refused, or docker_api.Trouble."""
    if item.state() not in ("held", "offloaded"):
        raise walk.Refused("vanished", "the item has no bytes any more")
    return _module(item).restore(item, change["object"].get("to") or "", out)


def open_archive(item, out):
    """The archive, open for reading and seen to be what was put here; from an object store it is fetched first."""
    if item.held() is None:
        from . import offload

        fd = partial(item)
        offload.fetch(item.record, fd, out)
    else:
        fd = os.open(BYTES, inodes.READ | os.O_NOFOLLOW | walk.O_NOATIME, dir_fd=item.fd)
    if faithful.digest(fd, out) != item.record.get("sha256"):
        os.close(fd)
        raise walk.Refused("write_error", "the bytes in the trash are not those that were put there")
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def let_go(item, out):
    """The object is back: the item goes. Returns what to say of what could not be done."""
    from . import remake

    if item.record.get("offload") and item.held() is None:
        try:
            remake.forget(item, out)
        except walk.Refused as error:
            return "; its bytes in the object store stay until a purge: %s" % error.detail
        return ""
    item.drop()
    return ""


def as_before(item):
    """A restore came to nothing: the item is held as it was."""
    manifest.remove(item.fd, PARTIAL)
    item.save(state=item.place(), restored=None, target=None, making=None)
    item.settle()


def _module(item):
    return importlib.import_module(".." + FORMS[item.record["form"]], __package__)
