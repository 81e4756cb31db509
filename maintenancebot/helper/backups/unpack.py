"""Unpacks a backup file into a folder by our own hand: regular files only, below the folder only, each read back.

Links, devices and owners are not made, so that no name in an archive can lead out of the folder.
"""

import hashlib
import os

from ..files import walk
from . import contents, streams
from .streams import Damaged, Lacking

NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
SPARE_BYTES = 256 * 1024 * 1024
SPARE_INODES = 1000
"""What is left free, however much an archive says that it holds: sparse files and deep folders become more."""

COPY = [b"copy"]
"""Name of the one file that a backup without members becomes."""


def unpack(descriptor, name, kind, folder, budget):
    """Unpack a backup of that format into an open folder: {"files", "bytes"}; raises Damaged, Spent, OSError."""
    if kind == "zip":
        return _write_all(_zip_members(descriptor), folder, budget)
    chunks = streams.decompressed(kind, descriptor, budget) if kind else streams.chunks_of(descriptor, budget)
    feed = streams.Feed(chunks, budget)
    if contents.recognised(feed) == "tar":
        return _write_all(_tar_members(feed), folder, budget)
    return _write_all([(COPY, feed.rest())], folder, budget)


def counted(folder, name, budget):
    """What the one file that was written holds, read again from the disk; raises Damaged."""
    descriptor = os.open(COPY[0], os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        return contents.read(streams.Feed(streams.chunks_of(descriptor, budget), budget), name)
    finally:
        os.close(descriptor)


def _write_all(members, folder, budget):
    files = size = 0
    for parts, pieces in members:
        size += _write(folder, parts, pieces, budget)
        files += 1
    return {"files": files, "bytes": size}


def _write(folder, parts, pieces, budget):
    """Write one file, and read it again: what is there must be what came."""
    descriptor = _create(folder, parts)
    try:
        digest, size = hashlib.sha256(), 0
        for piece in pieces:
            budget.spend(len(piece))
            _check_room(folder, len(piece))
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
            digest.update(piece)
            size += len(piece)
        again = hashlib.sha256()
        for _ in streams.chunks_of(descriptor, budget, again):
            pass
        if again.digest() != digest.digest():
            raise Damaged("a file that was written does not read the same")
        return size
    finally:
        os.close(descriptor)


def _create(folder, parts):
    """A new file below an open folder; of two of one name in an archive the later one counts, as tar has it."""
    if not parts or b".." in parts:
        raise Damaged("an entry's name leads out of the folder")
    here = os.dup(folder)
    try:
        for part in parts[:-1]:
            _check_room(folder, 0)
            try:
                os.mkdir(part, 0o700, dir_fd=here)
            except FileExistsError:
                pass
            inner = os.open(part, FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        try:
            return os.open(parts[-1], NEW, 0o600, dir_fd=here)
        except FileExistsError:
            os.unlink(parts[-1], dir_fd=here)
            return os.open(parts[-1], NEW, 0o600, dir_fd=here)
    finally:
        os.close(here)


def _check_room(folder, size):
    """Raises Refused before the file system comes to be full."""
    found = os.fstatvfs(folder)
    if found.f_bavail * found.f_frsize < SPARE_BYTES + size or (found.f_files and found.f_favail < SPARE_INODES):
        raise walk.Refused("no_space", "it unpacks to more than its list says, and there is no room for that")


def _parts(name):
    return [part for part in name.split(b"/") if part not in (b"", b".")]


class _Reader:
    """A feed as tarfile reads it."""

    def __init__(self, feed):
        self.read = feed.take


def _tar_members(feed):
    import tarfile

    try:
        with tarfile.open(fileobj=_Reader(feed), mode="r|", errors="surrogateescape") as archive:
            for member in archive:
                if member.isreg():
                    yield _parts(os.fsencode(member.name)), _pieces(archive.extractfile(member))
                archive.members = []  # it keeps all that it has seen
    except tarfile.TarError as error:
        raise Damaged("tar: %s" % error) from error


def _zip_members(descriptor):
    import zipfile

    try:
        with os.fdopen(os.dup(descriptor), "rb") as stream, zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if not member.filename.endswith("/"):
                    with archive.open(member) as inner:
                        yield _parts(os.fsencode(member.filename)), _pieces(inner)
    except (NotImplementedError, RuntimeError) as error:
        raise Lacking("this zip cannot be unpacked here: %s" % error) from error
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise Damaged("zip: %s" % error) from error


def _pieces(stream):
    return iter(lambda: stream.read(streams.PIECE), b"")
