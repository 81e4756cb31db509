"""gzip by descriptors: in, out, and what the packed bytes stand for."""

import gzip
import hashlib
import os
import zlib

from ..pulse import Pulse
from . import walk
from .fresh import write_all

LEVEL = 6
CHUNK = 1024 * 1024
RUN = 64 * 1024


def pack(source, target, mtime_ns, out, guard=None):
    """Compress an open file into an empty one, on the disk. Returns the file's SHA-256 and how many bytes it had.

    `guard` is called between chunks and may raise Refused.
    """
    digest, size, pulse = hashlib.sha256(), 0, Pulse(out, "compressing")
    os.lseek(source, 0, os.SEEK_SET)
    moment = max(0, min(int(mtime_ns // 10**9), 0xFFFFFFFF))
    with os.fdopen(os.dup(target), "wb") as stream, gzip.GzipFile("", "wb", LEVEL, stream, mtime=moment) as packer:
        while True:
            data = os.read(source, CHUNK)
            if not data:
                break
            digest.update(data)
            size += len(data)
            packer.write(data)
            pulse.beat()
            if guard is not None:
                guard()
    os.fsync(target)
    return digest.hexdigest(), size


def unpack(source, target, out, holes):
    """Decompress an open file into an empty one, with holes for long runs of zeros if wanted. Returns the SHA-256."""
    size, digest = 0, hashlib.sha256()
    for data in _unpacked(source, out):
        digest.update(data)
        write(target, data, holes)
        size += len(data)
    os.ftruncate(target, size)
    os.fsync(target)
    return digest.hexdigest()


def write(target, data, holes):
    """Write all bytes, with holes for long runs of zeros if wanted; the file gets its size from the caller then."""
    if not holes:
        write_all(target, data)
        return
    for start in range(0, len(data), RUN):
        part = data[start : start + RUN]
        if part.count(0) == len(part):
            os.lseek(target, len(part), os.SEEK_CUR)
        else:
            write_all(target, part)


def digest(source, out):
    """The SHA-256 of what packed bytes stand for. Raises Refused when they are damaged."""
    found = hashlib.sha256()
    for data in _unpacked(source, out):
        found.update(data)
    return found.hexdigest()


def _unpacked(source, out):
    pulse = Pulse(out, "unpacking")
    os.lseek(source, 0, os.SEEK_SET)
    with os.fdopen(os.dup(source), "rb") as stream, gzip.GzipFile("", "rb", fileobj=stream) as unpacker:
        while True:
            data = _chunk(unpacker)
            if not data:
                return
            yield data
            pulse.beat()


def _chunk(unpacker):
    try:
        return unpacker.read(CHUNK)
    except (EOFError, OSError, zlib.error) as error:
        raise walk.Refused("compress_mismatch", "the compressed bytes cannot be read back: %s" % error) from error
