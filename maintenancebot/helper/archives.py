"""How far a backup file can be trusted: the level reached by reading it, and what was seen on the way."""

import hashlib
import os
import re

from . import contents, opening, streams
from .streams import Damaged, Empty, Lacking, Spent

LEVELS = ("none", "exists", "fresh", "size", "structure", "data_read")
DIGESTS = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512"}


def examine(descriptor, name, budget, claims=()):
    """Read one backup as far as budget and host allow.

    Returns {"level", "format", "content", "note", ...}; raises Damaged or Empty. `claims` are pairs of an algorithm and
    the digest that a checksum file beside the backup gives.
    """
    digests = [(algorithm, hashlib.new(algorithm), told) for algorithm, told in claims]
    found = {"level": "size", "format": "", "content": "", "note": ""}
    try:
        _read(descriptor, name, budget, found)
        for algorithm, digest, told in digests:
            for _ in streams.chunks_of(descriptor, budget, digest):
                pass
            if digest.hexdigest() != told:
                raise Damaged("its %s is not the one that the checksum file beside it gives" % algorithm)
            found["checksum"] = algorithm
    except (Spent, Lacking) as error:
        found["note"] = str(error)
    return found


def _read(descriptor, name, budget, found):
    os.lseek(descriptor, 0, os.SEEK_SET)
    head = os.read(descriptor, 4096)
    kind = "zip" if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else streams.kind_of(head)
    promised = streams.expected(name)
    if promised and promised != kind:
        raise Damaged("its name says %s, its content is not" % promised)
    found["format"] = kind
    if kind == "zip":
        found.update(_read_zip(descriptor, budget))
    elif kind:
        _read_stream(streams.Feed(streams.decompressed(kind, descriptor, budget), budget), name, found)
    else:
        _read_plain(descriptor, name, budget, found)


def _read_stream(feed, name, found):
    if contents.recognised(feed):
        found["level"] = "structure"
    seen = contents.read(feed, name)
    found["level"] = "data_read"
    found.update(seen)
    if not seen["whole"]:
        found["note"] = "read to the end; whether that was the end of the backup, its content does not tell"


def _read_plain(descriptor, name, budget, found):
    """Uncompressed: without a known structure nothing proves that the bytes are right, so they are not read."""
    feed = streams.Feed(_counted(streams.chunks_of(descriptor, budget), budget), budget)
    kind = contents.recognised(feed)
    if not kind and feed.peek(4096).strip(b"\0") and not contents.tar_expected(name):
        found["note"] = "no known format: only its size was checked"
        return
    _read_stream(feed, name, found)
    if not found["whole"]:
        found["level"] = "size"


def _counted(chunks, budget):
    for chunk in chunks:
        budget.spend(len(chunk))
        yield chunk


def _read_zip(descriptor, budget):
    """Test the central directory and read every member against its checksum."""
    try:
        import zipfile
    except ImportError:
        raise Lacking("this host's python3 cannot read zip") from None
    try:
        with os.fdopen(os.dup(descriptor), "rb") as stream, zipfile.ZipFile(stream) as archive:
            members = [member for member in archive.infolist() if not member.filename.endswith("/")]
            if not members:
                raise Empty("zip without a file in it")
            return _read_members(archive, members, budget)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise Damaged("zip: %s" % error) from error


def _read_members(archive, members, budget):
    total = 0
    found = {"content": "zip", "entries": len(members), "files": len(members), "level": "structure"}
    for member in members:
        try:
            with archive.open(member) as stream:
                for piece in iter(lambda: stream.read(streams.PIECE), b""):
                    budget.spend(len(piece))
                    total += len(piece)
        except (Spent, NotImplementedError, RuntimeError) as error:  # encrypted, or a method not known here
            found["note"] = str(error)
            return found
        except Exception as error:  # zlib.error, BadZipFile, EOFError
            raise Damaged("zip member %d of %d: %s" % (members.index(member) + 1, len(members), error)) from error
    found.update(level="data_read", bytes=total, whole=True)
    return found


def claimed(path, name):
    """What checksum files beside a backup claim of it: pairs of algorithm and digest.

    Raises Damaged when there is such a file and it says nothing of this backup.
    """
    claims = []
    for suffix in sorted(DIGESTS):
        for beside in (path + b"." + suffix.encode(), path + b"." + suffix.encode() + b"sum"):
            try:
                descriptor = opening.open_file(beside)
            except OSError:
                continue
            with os.fdopen(descriptor, "rb") as stream:
                text = stream.read(65536).decode("utf-8", "replace")
            claims.append((DIGESTS[suffix], _digest_in(text, name, DIGESTS[suffix])))
    return claims


def _digest_in(text, name, algorithm):
    length = hashlib.new(algorithm).digest_size * 2
    lines = [line for line in text.splitlines() if re.search(r"\b[0-9a-fA-F]{%d}\b" % length, line)]
    named = [line for line in lines if name in line] or (lines if len(lines) == 1 else [])
    if not named:
        raise Damaged("the %s file beside it has no checksum of it" % algorithm)
    return re.search(r"\b[0-9a-fA-F]{%d}\b" % length, named[0]).group(0).lower()
