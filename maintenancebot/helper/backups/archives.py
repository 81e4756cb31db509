"""How far a backup file can be trusted: the level reached by reading it, and what was seen on the way."""

import hashlib
import os
import re

from ..files import opening
from . import contents, streams
from .streams import Damaged, Empty, Lacking, Spent
from .wanted import Wanted, path_of

DIGESTS = {"md5": "md5", "sha1": "sha1", "sha256": "sha256", "sha512": "sha512"}


def examine(descriptor, name, budget, claims=(), wanted=None):
    """Read one backup as far as budget and host allow.

    Returns {"level", "format", "content", "note", ...}: `readable` when all was read, `complete` when its format has no
    end that could be missing, else `fresh`. Raises Damaged or Empty. `claims` are pairs of an algorithm and the digest
    that a checksum file beside the backup gives; the names in the backup are shown to `wanted`.
    """
    digests = [(algorithm, hashlib.new(algorithm), told) for algorithm, told in claims]
    found = {"level": "fresh", "format": "", "content": "", "note": ""}
    try:
        _read(descriptor, name, budget, found, Wanted() if wanted is None else wanted)
        for algorithm, digest, told in digests:
            for _ in streams.chunks_of(descriptor, budget, digest):
                pass
            if digest.hexdigest() != told:
                raise Damaged("its %s is not the one that the checksum file beside it gives" % algorithm)
            found["checksum"] = algorithm
    except (Spent, Lacking) as error:
        found["note"] = str(error)
    return found


def _read(descriptor, name, budget, found, wanted):
    if not streams.has_data(descriptor):
        raise Empty("only zero bytes, none of them on the disk")
    os.lseek(descriptor, 0, os.SEEK_SET)
    head = os.read(descriptor, 4096)
    kind = "zip" if head.startswith((b"PK\x03\x04", b"PK\x05\x06")) else streams.kind_of(head)
    promised = streams.expected(name)
    if promised and promised != kind:
        raise Damaged("its name says %s, its content is not" % promised)
    found["format"] = kind
    if kind == "zip":
        found.update(_read_zip(descriptor, budget, wanted))
    elif kind:
        _read_stream(streams.Feed(streams.decompressed(kind, descriptor, budget), budget), name, found, wanted)
    else:
        _read_plain(descriptor, name, budget, found, wanted)


def _read_stream(feed, name, found, wanted):
    found["content"] = contents.recognised(feed)
    seen = contents.read(feed, name, wanted)
    found["level"] = "readable"
    found.update(seen)
    if not seen["whole"]:
        found["note"] = "read to the end; whether that was the end of the backup, its content does not tell"


def _read_plain(descriptor, name, budget, found, wanted):
    """Uncompressed: without a known structure nothing proves that the bytes are right, so they are not read."""
    feed = streams.Feed(_counted(streams.chunks_of(descriptor, budget), budget), budget)
    kind = contents.recognised(feed)
    if not kind and feed.peek(4096).strip(b"\0") and not contents.tar_expected(name):
        found.update(level="complete", note="no known format: only its size was checked")
        return
    _read_stream(feed, name, found, wanted)
    if not found["whole"]:
        found["level"] = "complete"


def _counted(chunks, budget):
    for chunk in chunks:
        budget.spend(len(chunk))
        yield chunk


def _read_zip(descriptor, budget, wanted):
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
            wanted.saw(*[path_of(os.fsencode(member.filename)) for member in members])
            return _read_members(archive, members, budget)
    except NotImplementedError as error:
        raise Lacking("this host's python3 cannot read this zip: %s" % error) from error
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise Damaged("zip: %s" % error) from error


def _read_members(archive, members, budget):
    total = 0
    found = {"content": "zip", "entries": len(members), "files": len(members), "level": "complete"}
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
    found.update(level="readable", bytes=total, whole=True)
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
