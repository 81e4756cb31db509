"""Step `logs.compress`: a file becomes a verified `.gz` of the same owner, mode and times; the file goes to the trash.

The copy has no name, or a temporary one that is in the item's record, until it is complete, read back and compared.
It gets its own name only where none is taken, and the file is moved last: killed anywhere, nothing is lost.
"""

import binascii
import errno
import gzip
import hashlib
import os
import time

from . import frames, walk
from .results import outcome
from .source import Source
from .steps import each
from .trash import hold, new_item

SUFFIX = b".gz"
LEVEL = 6
CHUNK = 1024 * 1024
SPARE = 1024 * 1024
"""Bytes that must stay free beside the copy."""
NOT_COPIED = frozenset(["security.capability", "security.ima", "security.evm"])
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
        temporary = walk.OWN_PREFIX + b"-" + binascii.hexlify(os.urandom(8)) + b".tmp"
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
        copy.dress(source)
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


class Copy:
    """The compressed copy while it is made: without a name where the file system can, else under a temporary one."""

    def __init__(self, folder, temporary):
        self._folder = folder
        self._names = []
        how = os.O_RDWR | os.O_CLOEXEC
        try:
            self.fd = os.open(".", how | os.O_TMPFILE, 0o600, dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
            self.fd = os.open(temporary, how | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            self._names.append(temporary)

    def fill(self, source, out):
        """Compress the file into it, read it back, compare. Returns the file's SHA-256."""
        digest = self._write(source, out)
        os.fsync(self.fd)
        if self._read_back(out) != digest:
            raise walk.Refused("compress_mismatch", "the copy does not give the same bytes back")
        return binascii.hexlify(digest).decode("ascii")

    def dress(self, source):
        """Give it owner, attributes, mode and times of the file; owner first, since that may take bits of the mode."""
        facts = os.fstat(source.fd)
        os.fchown(self.fd, facts.st_uid, facts.st_gid)
        _same_attributes(source.fd, self.fd)
        os.fchmod(self.fd, facts.st_mode & 0o7777)
        os.utime(self.fd, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        os.fsync(self.fd)

    def publish(self, name):
        """Give it its name, unless that is taken, and wait until it is on the disk."""
        os.link("/proc/self/fd/%d" % self.fd, name, dst_dir_fd=self._folder, follow_symlinks=True)
        self.withdraw()
        self._names.append(name)
        os.fsync(self._folder)

    def withdraw(self):
        """Remove the names that it has, where they still stand for it."""
        made = os.fstat(self.fd)
        while self._names:
            name = self._names.pop()
            if _stands_for(self._folder, name, made):
                os.unlink(name, dir_fd=self._folder)

    def _write(self, source, out):
        digest, left, spoke = hashlib.sha256(), source.expected["size"], time.monotonic()
        os.lseek(source.fd, 0, os.SEEK_SET)
        with os.fdopen(os.dup(self.fd), "wb") as stream:
            moment = max(0, min(int(source.expected["mtime_ns"] // 10**9), 0xFFFFFFFF))
            with gzip.GzipFile("", "wb", LEVEL, stream, mtime=moment) as packer:
                while True:
                    data = os.read(source.fd, CHUNK)
                    if not data:
                        break
                    digest.update(data)
                    packer.write(data)
                    left -= len(data)
                    spoke = _speak(out, spoke)
        if left:
            raise walk.Refused("changed_since", "the file has another size than was planned")
        return digest.digest()

    def _read_back(self, out):
        digest, spoke = hashlib.sha256(), time.monotonic()
        os.lseek(self.fd, 0, os.SEEK_SET)
        with os.fdopen(os.dup(self.fd), "rb") as stream, gzip.GzipFile("", "rb", fileobj=stream) as unpacker:
            try:
                while True:
                    data = unpacker.read(CHUNK)
                    if not data:
                        return digest.digest()
                    digest.update(data)
                    spoke = _speak(out, spoke)
            except (EOFError, OSError) as error:
                raise walk.Refused("compress_mismatch", "the copy cannot be read back: %s" % error) from error


def _stands_for(folder, name, facts):
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (facts.st_dev, facts.st_ino)


def _same_attributes(source, target):
    """The same extended attributes, access lists among them, and none that a default list of the folder added."""
    wanted = {name: os.getxattr(source, name) for name in _listed(source)}
    for name in set(_listed(target)) - set(wanted):
        os.removexattr(target, name)
    for name, value in wanted.items():
        os.setxattr(target, name, value)


def _listed(fd):
    try:
        return [name for name in os.listxattr(fd) if name not in NOT_COPIED]
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise


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


def _speak(out, spoke):
    if time.monotonic() - spoke < walk.ALIVE_SECONDS:
        return spoke
    out.alive("compressing")
    return time.monotonic()
