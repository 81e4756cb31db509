"""What a folder or a tar archive holds, as one number: names, kinds, owners, modes, times, attributes, links, bytes.

The same for a folder and for an archive of it, so that each can be told to be the other. Sockets are left out: an
archive cannot hold them, and one that nobody listens on has nothing to lose.
"""

import base64
import gzip
import hashlib
import os
import stat
import tarfile
import zlib

from ..pulse import Pulse
from . import faithful, walk

BLOCK = 64 * 1024
ZEROS = bytes(BLOCK)
MOST = 1000000
"""Entries of one tree."""
XATTR = "SCHILY.xattr."


class Sum:
    """Adds up entries in any order; `state` also has what only tells that nothing was touched meanwhile."""

    def __init__(self):
        self.entries = 0
        self.bytes = 0
        self.allocated = 0
        self.sockets = 0
        self.inodes = set()
        self.linked = set()  # names of files that have several
        self._groups = {}  # inode, or first name in an archive -> [entry, names]
        self._total = self._state = 0

    @property
    def digest(self):
        """The content as text."""
        total = self._total
        for entry, names in self._groups.values():
            total += _number([b"names", *sorted(names), b"", entry])
        return "%064x" % (total % 2**256)

    @property
    def state(self):
        """The content with inodes and ctimes, without bytes."""
        return "%064x" % (self._state % 2**256)

    def add(self, name, entry, group=None):
        """One name; those of one group are one file."""
        self.entries += 1
        if self.entries > MOST:
            raise walk.Refused("over_cap", "more than %d files and folders" % MOST)
        if group is None:
            self._total += _number([b"names", name, b"", entry])
        else:
            self._groups.setdefault(group, [entry, []])[1].append(name)

    def touch(self, name, found):
        """Note what tells of any change."""
        values = (found.st_ino, found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_mode, found.st_nlink)
        self._state += _number([name, repr(values).encode("ascii")])


def _number(parts):
    return int.from_bytes(hashlib.sha256(b"\0".join(parts)).digest(), "big")


def _entry(kind, mode, uid, gid, mtime_ns, more, attributes):
    plain = repr((kind, mode & 0o7777, uid, gid, mtime_ns)).encode("ascii")
    pairs = [name.encode("utf-8", "surrogateescape") + b"=" + value for name, value in sorted(attributes.items())]
    return hashlib.sha256(b"\0".join([plain, more, *pairs])).digest()


class _Content:
    """The digest of a file's bytes, in which blocks of zeros count like holes."""

    def __init__(self):
        self._digest = hashlib.sha256()

    def block(self, offset, data):
        if data != ZEROS[: len(data)]:
            self._digest.update(b"%d:%d:" % (offset, len(data)))
            self._digest.update(data)

    def end(self, size):
        self._digest.update(b"end %d" % size)
        return self._digest.digest()


def of_tree(fd, out, contents=True):
    """The sum of an open folder. Raises Refused for what is mounted in it, or OSError."""
    total = Sum()
    _folder(fd, b".", total, Pulse(out, "reading the volume"), contents, 0)
    return total


def _folder(fd, path, total, pulse, contents, depth):
    if depth > walk.MAX_DEPTH:
        raise walk.Refused("over_cap", "more than %d folders deep" % walk.MAX_DEPTH)
    _add(fd, path, os.fstat(fd), total, b"", _attributes(fd))
    for name in sorted(walk.names(fd)):
        below = path + b"/" + name
        found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        pulse.beat()
        if stat.S_ISDIR(found.st_mode):
            inner = _inside(name, fd, walk.FOLDER)
            try:
                _folder(inner, below, total, pulse, contents, depth + 1)
            finally:
                os.close(inner)
        else:
            _leaf(fd, name, below, found, total, pulse, contents)


def _inside(name, fd, flags):
    try:
        return walk.open_inside(name, fd, flags)
    except OSError as error:
        raise walk.Refused(walk.reason_of(error), "%r: %s" % (name[:100], error.strerror)) from error


def _leaf(fd, name, path, found, total, pulse, contents):
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFSOCK:
        total.sockets += 1
        return
    where = b"/proc/self/fd/%d/%s" % (fd, name)
    attributes = _attributes(where)
    if kind == stat.S_IFLNK:
        more = os.readlink(name, dir_fd=fd)
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        more = b"%d:%d" % (os.major(found.st_rdev), os.minor(found.st_rdev))
    else:
        more = _bytes(fd, name, found, pulse) if kind == stat.S_IFREG and contents else b""
    _add(fd, path, found, total, more, attributes)


def _add(fd, path, found, total, more, attributes):
    entry = _entry(
        stat.S_IFMT(found.st_mode), found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns, more, attributes
    )
    several = found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)
    if several:
        total.linked.add(path)
    first = not several or found.st_ino not in total.inodes
    total.inodes.add(found.st_ino)
    total.allocated += found.st_blocks * 512 if first else 0
    total.bytes += found.st_size if first and stat.S_ISREG(found.st_mode) else 0
    total.touch(path, found)
    total.add(path, entry, found.st_ino if several else None)


def _attributes(where):
    return {name: base64.b64decode(value) for name, value in faithful.attributes(where).items()}


def _bytes(folder, name, found, pulse):
    fd = _inside(name, folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        now = os.fstat(fd)
        if (now.st_ino, now.st_mode, now.st_size) != (found.st_ino, found.st_mode, found.st_size):
            raise walk.Refused("changed_since", "%r changed while it was read" % name[:100])
        content, done = _Content(), 0
        for start, end in faithful.extents(fd, now.st_size):
            position = max(done, start - start % BLOCK)
            while position < end:
                data = _whole(fd, min(BLOCK, now.st_size - position), position)
                content.block(position, data)
                position += BLOCK
                pulse.beat()
            done = position
        return content.end(now.st_size)
    finally:
        os.close(fd)


def _whole(fd, size, position):
    data = b""
    while len(data) < size:
        more = os.pread(fd, size - len(data), position + len(data))
        if not more:
            raise walk.Refused("changed_since", "a file became shorter while it was read")
        data += more
    return data


def of_archive(stream, linked, out):
    """The sum of a compressed archive, read to its end. Raises Refused when it is damaged.

    `linked` are the names that may be several of one file, as the folder's own sum tells.
    """
    total, pulse, firsts = Sum(), Pulse(out, "reading the archive back"), {}
    try:
        with gzip.GzipFile("", "rb", fileobj=stream) as plain, opened(plain) as archive:
            for member in archive:
                _member(archive, member, total, pulse, linked, firsts)
                archive.members = []  # else it remembers all of them
    except UNREADABLE as error:
        raise walk.Refused("compress_mismatch", "the archive cannot be read back: %s" % error) from error
    return total


def opened(plain):
    """The archive of an unpacked stream, in which nobody ever goes backwards."""
    return tarfile.open(fileobj=plain, mode="r:", encoding="utf-8", errors="surrogateescape")


UNREADABLE = (tarfile.TarError, EOFError, OSError, ValueError, KeyError, zlib.error)
"""What reading a damaged archive may raise."""

KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.GNUTYPE_SPARSE: stat.S_IFREG,
    tarfile.CONTTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
}


def _member(archive, member, total, pulse, linked, firsts):
    name = _raw(member.name)
    if member.type == tarfile.LNKTYPE:
        first = _raw(member.linkname)
        total.add(name, firsts[first], first)
        return
    kind, more = KINDS[member.type], b""
    if kind == stat.S_IFREG:
        more = _member_bytes(archive, member, pulse)
    elif kind == stat.S_IFLNK:
        more = member.linkname.encode("utf-8", "surrogateescape")
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        more = b"%d:%d" % (member.devmajor, member.devminor)
    moment = member.pax_headers.get("mtime")
    mtime = _nanoseconds(moment) if moment else int(member.mtime) * 10**9
    entry = _entry(kind, member.mode, member.uid, member.gid, mtime, more, _pax_attributes(member.pax_headers))
    several = name in linked
    if several:
        firsts[name] = entry
    total.add(name, entry, name if several else None)


def _member_bytes(archive, member, pulse):
    source, content = archive.extractfile(member), _Content()
    parts = member.sparse if member.sparse is not None else [(0, member.size)]
    done = 0
    for start, length in parts:
        position = max(done, start - start % BLOCK)
        while position < start + length:
            source.seek(position)
            data = source.read(min(BLOCK, member.size - position))
            content.block(position, data)
            position += BLOCK
            pulse.beat()
        done = position
    return content.end(member.size)


def _pax_attributes(headers):
    """The extended attributes; GNU tar writes `=` and `%` in their names as codes."""
    found = {}
    for key, value in headers.items():
        if key.startswith(XATTR):
            name = key[len(XATTR) :].replace("%3D", "=").replace("%25", "%")
            found[name] = value.encode("utf-8", "surrogateescape")
    return {name: value for name, value in found.items() if name not in faithful.NOT_KEPT}


def _nanoseconds(text):
    """A pax time exactly; before 1970 it has a minus."""
    whole, _, rest = text.partition(".")
    part = int((rest + "000000000")[:9])
    return int(whole) * 10**9 + (-part if whole.startswith("-") else part)


def _raw(name):
    data = name.encode("utf-8", "surrogateescape")
    return data[:-1] if data.endswith(b"/") else data
