"""Step `logs.compress`: a file becomes a verified `.gz` of the same owner, mode and times; the file goes to the trash.

The copy has no name, or a temporary one that is in the item's record, until it is complete, read back and compared.
It gets its own name only where none is taken, and the file is moved last: killed anywhere, nothing is lost.
"""

import os

from .. import frames
from ..files import faithful, packing, walk
from ..files.fresh import Fresh, temporary_name
from ..results import outcome
from ..trash.source import Source
from ..trash.steps import each
from ..trash.trash import hold, new_item

SUFFIX = b".gz"
SPARE = 1024 * 1024
"""Bytes that must stay free beside the copy."""
NOT_COPIED = frozenset(["security.capability", "security.ima"])
"""Attributes that speak of the bytes themselves, which the copy does not have."""


def apply(step, out):
    """Compress each file of the step."""
    return each(step, out, _compress)


def _compress(change, args, out):
    source = Source(change, args)
    try:
        free = source.free()
        _must_fit(source)
        _must_be_new(source)
        temporary = temporary_name()
        item = new_item(source, change, args, copy={"temporary": frames.text(temporary), "path": _copy_path(source)})
        try:
            return _with_item(change, source, item, temporary, free, out)
        finally:
            item.close()
            item.store.close()
    finally:
        source.close()


def _with_item(change, source, item, temporary, free, out):
    copy = None
    try:
        copy = Copy(source.folder, temporary)
        digest = copy.fill(source, out)
        copy.dress(item.record)
        made = os.fstat(copy.fd)
        noted = dict(item.record["copy"], ino=made.st_ino, mtime_ns=made.st_mtime_ns)
        item.save(copy=noted, sha256=digest)
        source.must_be_same()
        source.must_be_idle()
        source.must_be_here()
        copy.publish(source.name + SUFFIX)
        hold(source, item)
    except BaseException:
        if item.held() is None:  # the file is in its place
            if copy is not None:
                copy.withdraw()
                source.put_back_times()
            item.discard()
        raise
    finally:
        if copy is not None:
            os.close(copy.fd)
    return outcome(
        change["id"],
        "done",
        "verified",
        freed_now=source.free() - free,
        freed_at_purge=item.record["allocated"],
        compressed_size=made.st_size,
        trash_item=item.id,
    )


class Copy(Fresh):
    """The compressed copy while it is made."""

    def fill(self, source, out):
        """Compress the file into it, read it back, compare. Returns the file's SHA-256."""
        digest, size = packing.pack(source.fd, self.fd, source.expected["mtime_ns"], out)
        if size != source.expected["size"]:
            raise walk.Refused("changed_since", "the file has another size than was planned")
        if packing.digest(self.fd, out) != digest:
            raise walk.Refused("compress_mismatch", "the copy does not give the same bytes back")
        return digest

    def dress(self, record):
        """Give it all that the file has but its bytes."""
        kept = {name: value for name, value in record["attributes"].items() if name not in NOT_COPIED}
        identity = dict(record["identity"], size=os.fstat(self.fd).st_size)
        faithful.dress(self.fd, dict(record, identity=identity, attributes=kept))


def _copy_path(source):
    return source.expected["path"] + frames.text(SUFFIX)


def _must_fit(source):
    found, size = os.fstatvfs(source.folder), source.expected["size"]
    free = found.f_bavail * found.f_frsize
    if free < size + size // 1000 + SPARE:
        raise walk.Refused("no_space", "the copy may need %d bytes, %d are free" % (size, free))
    if found.f_files and found.f_favail < 4:
        raise walk.Refused("no_space", "no inodes are free")


def _must_be_new(source):
    try:
        os.stat(source.name + SUFFIX, dir_fd=source.folder, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise walk.Refused("target_exists", _copy_path(source))
