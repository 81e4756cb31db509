"""PostgreSQL's custom dump format: its table of contents, then one block of data per entry, to the end."""

import zlib

from .streams import PIECE, Damaged, Empty

MAGIC = b"PGDMP"
KNOWN = ((1, 12), (1, 16))
"""Format versions whose layout is known: PostgreSQL 9.0 (1.12) to 17 (1.16)."""
CUSTOM = 1
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


def read(feed):
    """Walk a custom-format dump to its end; raises Damaged when it was cut off, Empty without tables."""
    parser = _Parser(feed)
    try:
        return _read(parser)
    except _Short:
        raise Damaged("pg_dump's custom format is cut off after %d bytes" % feed.total) from None


def _read(parser):
    parser.bytes(len(MAGIC))
    version = (parser.byte(), parser.byte())
    _revision, parser.int_size, offset_size, layout = parser.byte(), parser.byte(), parser.byte(), parser.byte()
    found = {"content": "pg_dump custom format", "whole": False, "version": "%d.%d" % version}
    if not KNOWN[0] <= version <= KNOWN[1] or layout != CUSTOM:
        found["bytes"] = parser.feed.drain()
        return found
    packed = parser.byte() if version >= (1, 15) else min(1, abs(parser.int()))  # before 1.15 a level of gzip
    for _ in range(7):
        parser.int()
    database = parser.text()
    parser.text(), parser.text()
    with_data, kinds = _contents(parser, version, offset_size)
    _blocks(parser, with_data, packed == GZIP)
    if not kinds.get(b"TABLE") and not kinds.get(b"TABLE DATA"):
        raise Empty("pg_dump of a database without tables")
    found["level"] = "data_read" if packed in (0, GZIP) else "structure"
    found.update(whole=True, entries=sum(kinds.values()), filled=len(with_data), bytes=parser.feed.total)
    found["database"] = (database or b"").decode("utf-8", "replace")
    return found


def _contents(parser, version, offset_size):
    """The ids of the entries that have data, and how many entries of each kind there are."""
    with_data, kinds = set(), {}
    for _ in range(parser.int()):
        number, _has_data = parser.int(), parser.int()
        parser.text(), parser.text(), parser.text()
        kind = parser.text()
        parser.int()
        for _ in range(5 + (version >= (1, 14))):  # definition, drop, copy, schema, tablespace, access method
            parser.text()
        if version >= (1, 16):
            parser.int()
        parser.text(), parser.text()
        while parser.text() is not None:  # dependencies
            pass
        state = parser.byte()
        parser.bytes(offset_size)
        kinds[kind] = kinds.get(kind, 0) + 1
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
