"""PostgreSQL's directory format: `toc.dat` names the files beside it, and each must be there and read to its end."""

import os

from ..files import opening
from ..frames import text
from . import pgdump, streams
from .streams import Damaged

CONTENTS = b"toc.dat"
LARGE_OBJECTS = b"blobs"
SUFFIXES = ((b"", ""), (b".gz", "gzip"), (b".zst", "zstd"), (b".lz4", None))
"""How a file may be packed; what cannot be read here is looked for and not read."""


def facts_of(folder):
    """The facts of a folder's table of contents, which pg_dump writes last, and the bytes of all files in it.

    None when it is no such folder.
    """
    try:
        facts = os.lstat(os.path.join(folder, CONTENTS))
        with os.scandir(folder) as entries:
            return facts, sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:
        return None


def examine(folder, budget, wanted):
    """As `archives.examine` for a file; raises Damaged or Empty."""
    found = {"level": "fresh", "format": "", "content": "", "note": ""}
    try:
        descriptor = opening.open_file(os.path.join(folder, CONTENTS))
        try:
            feed = streams.Feed(streams.chunks_of(descriptor, budget), budget)
            if feed.peek(len(pgdump.MAGIC)) != pgdump.MAGIC:
                raise Damaged("its toc.dat is none of pg_dump's")
            found.update(pgdump.read(feed, wanted))
        finally:
            os.close(descriptor)
        beside = found.pop("beside", [])
        read = [_read(folder, name, budget) for name in beside]
        read += [_read(folder, name, budget) for name in _large_objects(folder, beside)]
        found["bytes"] += sum(size or 0 for size in read)
        found["level"] = "readable" if found["whole"] and None not in read else "complete"
    except (streams.Spent, streams.Lacking) as error:
        found.update(level="fresh", note=str(error))
    return found


def _large_objects(folder, beside):
    """The files that the lists of large objects name."""
    names = []
    for listing in [name for name in beside if name.startswith(LARGE_OBJECTS) and name.endswith(b".toc")]:
        descriptor = opening.open_file(os.path.join(folder, listing))
        with os.fdopen(descriptor, "rb") as stream:
            names += [line.split()[1] for line in stream if len(line.split()) == 2]
    return names


def _read(folder, name, budget):
    """Bytes of one file, read to its end; None when it is packed in a way that cannot be read here."""
    if b"/" in name:
        raise Damaged("pg_dump's table of contents is damaged")
    for suffix, kind in SUFFIXES:
        try:
            descriptor = opening.open_file(os.path.join(folder, name + suffix))
        except FileNotFoundError:
            continue
        try:
            if kind is None:
                return None
            pieces = streams.decompressed(kind, descriptor, budget) if kind else streams.chunks_of(descriptor, budget)
            return sum(len(piece) for piece in pieces)
        finally:
            os.close(descriptor)
    raise Damaged("%s is missing" % text(name))
