"""PostgreSQL's own dump formats: a table of contents, then each entry's data, in the same file or beside it."""

import zlib

from .streams import PIECE, Damaged, Empty

MAGIC = b"PGDMP"
KNOWN = ((1, 12), (1, 16))
"""Format versions whose layout is known: PostgreSQL 9.0 (1.12) to 17 (1.16)."""
CUSTOM, DIRECTORY = 1, 3
"""A folder calls itself tar, so that it can be made one."""
GZIP = 1
DATA, LARGE_OBJECTS = 1, 3


class _Short(Exception):
    pass


class _Parser:
    def __init__(self, feed):
        self.feed = feed
        self.int_size = 4

    def bytes(self, size):
        data = self.feed.take(size)
        if len(data) < size:
            raise _Short()
        return data

    def byte(self):
        return self.bytes(1)[0]

    def int(self):
        sign = self.byte()
        value = int.from_bytes(self.bytes(self.int_size), "little")
        return -value if sign else value

    def text(self):
        size = self.int()
        if size > 64 * 1024 * 1024:
            raise Damaged("pg_dump's table of contents is damaged")
        return self.bytes(size) if size >= 0 else None


def read(feed, wanted):
    """Walk a custom-format dump to its end; raises Damaged when it was cut off, Empty without tables."""
    parser = _Parser(feed)
    try:
        return _read(parser, wanted)
    except _Short:
        raise Damaged("pg_dump's custom format is cut off after %d bytes" % feed.total) from None


def _read(parser, wanted):
    parser.bytes(len(MAGIC))
    version = (parser.byte(), parser.byte())
    _revision, parser.int_size, offset_size, layout = parser.byte(), parser.byte(), parser.byte(), parser.byte()
    words = "pg_dump directory format" if layout == DIRECTORY else "pg_dump custom format"
    found = {"content": words, "whole": False, "version": "%d.%d" % version}
    if not KNOWN[0] <= version <= KNOWN[1] or layout not in (CUSTOM, DIRECTORY):
        found["bytes"] = parser.feed.drain()
        return found
    packed = parser.byte() if version >= (1, 15) else min(1, abs(parser.int()))  # before 1.15 a level of gzip
    for _ in range(7):
        parser.int()
    database = parser.text()
    parser.text(), parser.text()
    offset_size = None if layout == DIRECTORY else offset_size
    with_data, kinds = _contents(parser, version, offset_size, _named(wanted, database or b""))
    if layout == CUSTOM:
        _blocks(parser, with_data, packed == GZIP)
    else:
        found["beside"] = sorted(with_data)
    if not kinds.get(b"TABLE") and not kinds.get(b"TABLE DATA"):
        raise Empty("pg_dump of a database without tables")
    found["level"] = "readable" if packed in (0, GZIP) else "complete"
    found.update(whole=True, entries=sum(kinds.values()), filled=len(with_data), bytes=parser.feed.total)
    found["database"] = (database or b"").decode("utf-8", "replace")
    return found


def _named(wanted, database):
    """Shows the name of each table to `wanted`, alone, with its schema, and with its database."""
    wanted.saw(database)

    def saw(kind, schema, name):
        if kind in (b"TABLE", b"TABLE DATA") and wanted:
            names = [name, schema + b"." + name]
            wanted.saw(*names, *(database + b"." + one for one in names))

    return saw


def _contents(parser, version, offset_size, saw):
    """The ids of the entries that have data, and how many entries of each kind there are.

    Without offsets their data are in files of their own, and the ids are those files' names.
    """
    with_data, kinds = set(), {}
    for _ in range(parser.int()):
        number, _has_data = parser.int(), parser.int()
        parser.text(), parser.text()
        name, kind = parser.text(), parser.text()
        parser.int()
        parser.text(), parser.text(), parser.text()  # definition, drop, copy
        saw(kind, parser.text() or b"", name or b"")
        for _ in range(1 + (version >= (1, 14))):  # tablespace, access method
            parser.text()
        if version >= (1, 16):
            parser.int()
        parser.text(), parser.text()
        while parser.text() is not None:  # dependencies
            pass
        kinds[kind] = kinds.get(kind, 0) + 1
        if offset_size is None:
            with_data.update([file for file in [parser.text()] if file])
            continue
        state = parser.byte()
        parser.bytes(offset_size)
        if state != 3 and _has_data:  # 3: this entry has no data
            with_data.add(number)
    return with_data, kinds


def _blocks(parser, expected, gzip):
    """Each entry's data: chunks with their length before them, until a length of nought."""
    seen = set()
    while parser.feed.peek(1):
        kind, number = parser.byte(), parser.int()
        if kind not in (DATA, LARGE_OBJECTS) or number not in expected:
            raise Damaged("pg_dump's data is damaged after %d bytes" % parser.feed.total)
        seen.add(number)
        if kind == DATA:
            _chunks(parser, gzip)
            continue
        while parser.int():
            _chunks(parser, gzip)
    if seen != expected:
        raise Damaged("data of %d of %d entries of the dump is missing" % (len(expected - seen), len(expected)))


def _chunks(parser, gzip):
    engine = zlib.decompressobj() if gzip else None
    while True:
        size = parser.int()
        if not size:
            break
        if size < 0:
            raise Damaged("pg_dump's data is damaged after %d bytes" % parser.feed.total)
        if engine is None:
            if parser.feed.skip(size) < size:
                raise _Short()
        else:
            _inflate(engine, parser, size)
    if engine is not None and not engine.eof:
        raise Damaged("pg_dump's compressed data is cut off before byte %d" % parser.feed.total)


def _inflate(engine, parser, size):
    """Decompress `size` bytes in small pieces, for the checksum at their end."""
    while size:
        data = parser.bytes(min(size, PIECE))
        size -= len(data)
        while data:
            try:
                piece = engine.decompress(data, PIECE)
            except zlib.error as error:
                raise Damaged("pg_dump's compressed data is damaged: %s" % error) from error
            parser.feed.spend(len(piece))
            data = engine.unconsumed_tail
