"""Gets a held item off its file system, or makes it smaller there: compressed, elsewhere, offloaded.

At every instant the item is held once and whole: the new bytes are read back and compared, and a record of them is on
the disk, before the old ones go. Whatever goes wrong before leaves the item where it was.
"""

import os

from ..files import faithful, inodes, packing, walk
from . import manifest, store
from .item import BYTES, PARTIAL

SPARE = 1024 * 1024
"""Bytes that must stay free beside what is written."""
INODES = 8


def free_bytes(fd):
    """Free bytes of a file system, as statvfs tells them."""
    found = os.fstatvfs(fd)
    return found.f_bfree * found.f_frsize


def relocate(item, into, args, out):
    """Put a held item into another form or place; returns it, or the one that replaced it, open.

    Raises Refused, or OSError, with the item held where and as it was.
    """
    if item.record.get("link") is not None:
        raise walk.Refused("no_effect", "a link takes no space")
    if item.state() != "held":
        raise walk.Refused("up_to_date", "it lies in the object store")
    return WAYS[into](item, args, out)


def _compressed(item, _args, out):
    if item.record.get("form", "file") != "file":
        raise walk.Refused("up_to_date", "it is compressed")
    item.unsettle()
    try:
        coming = _pack(item, out)
        item.save(state="relocating", next=coming)
        os.rename(PARTIAL, BYTES, src_dir_fd=item.fd, dst_dir_fd=item.fd)
    except BaseException:
        _as_before(item)
        raise
    os.fsync(item.fd)
    adopt(item)
    return item


def adopt(item):
    """Record what the bytes are now: those that were to take their place, or still the old ones."""
    coming, held = item.record.get("next"), item.held()
    taken = coming and held is not None and held.st_ino == coming["ino"]
    item.save(**dict(coming["fields"] if taken else {}, state="held", next=None, offload=None, candidate=None))
    item.settle()


def _pack(item, out):
    """Write the compressed bytes beside the others and compare them; what the record will say of them."""
    source = _open(item)
    try:
        packed = _partial(item)
        try:
            before = os.fstat(source)
            guard = _guard(packed, before.st_blocks * 512)
            digest, _ = packing.pack(source, packed, before.st_mtime_ns, out, guard)
            _must_match(item, digest)
            stored = faithful.digest(packed, out)
            if packing.digest(packed, out) != digest:
                raise walk.Refused("compress_mismatch", "the compressed bytes do not give the same back")
            faithful.same(before, os.fstat(source))
            guard()
            made = os.fstat(packed)
        finally:
            os.close(packed)
    finally:
        os.close(source)
    fields = {"form": "gzip", "copied": True, "sha256": digest, "stored_sha256": stored, "stored_size": made.st_size}
    return {"ino": made.st_ino, "fields": fields}


def _guard(packed, limit):
    """Stops a compression that gains nothing, or takes the last space of the disk.

    What is kept for root may be used: it is given back at once, and users have often left no more than that.
    """

    def check():
        if os.fstat(packed).st_blocks * 512 >= limit:
            raise walk.Refused("no_effect", "it does not get smaller")
        if free_bytes(packed) < SPARE:
            raise walk.Refused("no_space", "the compressed bytes do not fit beside the file")

    return check


def _elsewhere(item, args, out):
    if not args.get("elsewhere"):
        raise walk.Refused("not_configured", "no folder on another file system is configured")
    place = store.elsewhere(args["elsewhere"], item.store)
    try:
        _must_fit(place, item.stored())
        origin = {"store": item.record["store"], "item": item.id}
        new = place.new(dict(item.record, previous=origin, copied=True), item.id)
    except BaseException:
        place.close()
        raise
    try:
        _copy_into(item, new, out)
    except BaseException:
        if new.held() is None:
            new.discard()
            new.close()
            place.close()
        raise
    replace(item, new)
    return new


def _copy_into(item, new, out):
    """The bytes of one item into another, compared with what they were; held by its record, then by its name."""
    source = _open(item)
    try:
        target = _partial(new)
        try:
            digest = faithful.copy(source, target, out)
            record = item.record
            if record.get("form") != "gzip":
                _must_match(item, digest)
                faithful.dress(target, worn(record, source))
                new.record.update(sha256=digest, attributes=worn(record, source)["attributes"])
            elif record.get("stored_sha256") not in (None, digest):
                raise walk.Refused("write_error", "the bytes in the trash are not those that were put there")
            if faithful.digest(target, out) != digest:
                raise walk.Refused("write_error", "the copy does not give the same bytes back")
            size = os.fstat(target).st_size
        finally:
            os.close(target)
    finally:
        os.close(source)
    new.save(state="held", stored_sha256=digest, stored_size=size)
    os.rename(PARTIAL, BYTES, src_dir_fd=new.fd, dst_dir_fd=new.fd)
    os.fsync(new.fd)


def replace(item, new):
    """Drop an item whose complete copy is held; what cannot be done now is done by recovery."""
    try:
        item.drop()
        new.save(previous=None)
        new.settle()
    except OSError:
        pass
    item.close()
    item.store.close()


def _offloaded(item, args, out):
    if not args.get("offload"):
        raise walk.Refused("not_configured", "no object store is configured")
    from . import offload

    item.unsettle()
    source = _open(item)
    try:
        digest = faithful.digest(source, out)
        known = {"stored_sha256": digest, "stored_size": os.fstat(source).st_size}
        if item.record.get("form") != "gzip":
            known.update(sha256=digest, attributes=worn(item.record, source)["attributes"])
            _must_match(item, digest)
        item.save(state="relocating", **known)
        item.save(state="offloaded", copied=True, offload=offload.upload(source, item.record, args, out))
    except BaseException:
        _as_before(item)
        raise
    finally:
        os.close(source)
    finish_offload(item)
    return item


def finish_offload(item):
    """Delete the local bytes of an item whose record says where they lie in the object store."""
    manifest.remove(item.fd, BYTES)
    os.fsync(item.fd)
    item.settle()


def worn(record, fd):
    """The record with the attributes of its file; older records have none, then the file in the trash tells them."""
    if record.get("attributes") is not None:
        return record
    return dict(record, attributes=faithful.attributes(fd))


def _must_match(item, digest):
    if item.record.get("sha256") not in (None, digest):
        raise walk.Refused("write_error", "the bytes in the trash are not those that were put there")


def _must_fit(place, size):
    room = os.fstatvfs(place.fd)
    free = room.f_bavail * room.f_frsize
    if free < size + SPARE:
        raise walk.Refused("no_space", "%d bytes are free elsewhere, %d are needed" % (free, size + SPARE))
    if room.f_files and room.f_favail < INODES:
        raise walk.Refused("no_space", "no inodes are free elsewhere")


def _open(item):
    return os.open(BYTES, inodes.READ | os.O_NOFOLLOW | walk.O_NOATIME, dir_fd=item.fd)


def _partial(item):
    manifest.remove(item.fd, PARTIAL)
    return os.open(PARTIAL, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=item.fd)


def _as_before(item):
    """After a failure: drop what was half done. Where the disk does not even take the record, recovery writes it."""
    try:
        manifest.remove(item.fd, PARTIAL)
        adopt(item)
    except OSError:
        pass


WAYS = {"compressed": _compressed, "elsewhere": _elsewhere, "offloaded": _offloaded}
