"""Makes an item's file again where no rename can bring it: from a copy, packed bytes, an object store; or a link."""

import os

from .. import frames
from ..files import faithful, inodes, packing, walk
from ..files.fresh import Fresh, temporary_name
from . import exempt, manifest, relocate
from .item import BYTES, PARTIAL

PUBLISHED = ("ino", "size", "mtime_ns", "mode", "uid", "gid")
SPARE = 64 * 1024


def remake(item, folder, name, target, out):
    """Make it in an open folder under a name that is free. Raises Refused, or OSError, with the item as it was."""
    _must_be_free(folder, name, target)
    temporary = temporary_name()
    item.unsettle()
    item.save(state="restoring", target=target, temporary=frames.text(temporary))
    try:
        if item.record.get("link") is not None:
            _link(item, folder, name, temporary)
        else:
            _file(item, folder, name, temporary, out)
    except BaseException:
        if not is_published(item):
            _as_before(item, folder, temporary)
        raise


def is_published(item):
    """Whether what lies at the target is the very file that was made; in doubt it is not, and the item is kept."""
    made = item.record.get("restored")
    found = walk.lstat(item.record["target"]) if made else None
    values = inodes.values(found) if found is not None else {}
    return bool(values) and all(values[field] == made[field] for field in PUBLISHED)


def finish(item, target, placed, out):
    """The file is back: note it, and let the item go. Returns what to say of what could not be done."""
    said = ""
    try:
        exempt.note(item, target, placed)
    except (OSError, walk.Refused):
        said = "; the next run may take it again, since no note of it could be written"
    if item.record.get("offload") and item.held() is None:
        said += _let_go(item, out)
    else:
        item.drop()
    return said


def _let_go(item, out):
    try:
        forget(item, out)
    except walk.Refused as error:
        return "; its bytes in the object store stay until a purge: %s" % error.detail
    return ""


def forget(item, out):
    """Delete what an object store holds of an item, and then the item. Raises Refused; it is tried again later."""
    from . import offload

    item.unsettle()
    item.save(state="purging")
    offload.forget(item.record, out)
    item.drop()


def _must_be_free(folder, name, target):
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise walk.Refused("target_exists", target)


def _as_before(item, folder, temporary):
    """Recovery does what a full disk does not take now."""
    try:
        manifest.remove(folder, temporary)
        manifest.remove(item.fd, PARTIAL)
        item.save(state=item.place(), restored=None, temporary=None, target=None)
        item.settle()
    except OSError:
        pass


def _file(item, folder, name, temporary, out):
    _must_fit(item, folder)
    made = Fresh(folder, temporary)
    try:
        try:
            record, digest = _fill(item, made.fd, out)
            if item.record.get("sha256") not in (None, digest):
                raise walk.Refused("write_error", "the stored bytes are not those of the file any more")
            if faithful.digest(made.fd, out) != digest:
                raise walk.Refused("write_error", "the copy does not give the same bytes back")
            faithful.dress(made.fd, record)
            item.save(restored=inodes.values(os.fstat(made.fd)))
            made.publish(name)
        except BaseException:
            made.withdraw()
            raise
    finally:
        os.close(made.fd)


def _must_fit(item, folder):
    """Room for the whole file, or for what a file with holes takes."""
    needed = item.record["allocated"] + SPARE
    room = os.fstatvfs(folder)
    free = room.f_bavail * room.f_frsize
    if free < needed:
        raise walk.Refused("no_space", "the file needs %d bytes, %d are free" % (needed, free))


def _fill(item, target, out):
    """The bytes of the file into an open empty one: the record to dress it by, and the SHA-256."""
    if item.held() is None:
        return item.record, _fetched(item, target, out)
    source = os.open(BYTES, inodes.READ | os.O_NOFOLLOW | walk.O_NOATIME, dir_fd=item.fd)
    try:
        if item.record.get("form") == "gzip":
            return item.record, packing.unpack(source, target, out, _has_holes(item.record))
        return relocate.worn(item.record, source), faithful.copy(source, target, out)
    finally:
        os.close(source)


def _has_holes(record):
    return record["allocated"] < record["identity"]["size"]


def _fetched(item, target, out):
    from . import offload

    if item.record.get("form") != "gzip":
        offload.fetch(item.record, target, out, _has_holes(item.record))
        os.fsync(target)
        return faithful.digest(target, out)
    manifest.remove(item.fd, PARTIAL)
    packed = os.open(PARTIAL, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=item.fd)
    try:
        offload.fetch(item.record, packed, out)
        return packing.unpack(packed, target, out, _has_holes(item.record))
    finally:
        os.close(packed)
        manifest.remove(item.fd, PARTIAL)


def _link(item, folder, name, temporary):
    """A link cannot be made without a name, so it gets its own only when it is complete."""
    identity = item.record["identity"]
    os.symlink(frames.raw(item.record["link"]), temporary, dir_fd=folder)
    try:
        os.chown(temporary, identity["uid"], identity["gid"], dir_fd=folder, follow_symlinks=False)
        times = (item.record["atime_ns"], identity["mtime_ns"])
        os.utime(temporary, ns=times, dir_fd=folder, follow_symlinks=False)
        made = os.stat(temporary, dir_fd=folder, follow_symlinks=False)
        item.save(restored=inodes.values(made))
        os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    finally:
        os.unlink(temporary, dir_fd=folder)
