"""What a stream of bytes from a cloud holds, read to its end: compression, tar, dumps. Nothing is kept of it.

The same judgement as the helper's on hosts, for a stream that comes once and cannot be sought in.
"""

from __future__ import annotations

import fnmatch
import re
import tarfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from maintenancebot.probes.cloud_faults import Damaged, Empty, Unreadable
from maintenancebot.probes.cloud_zstd import through_zstd

BLOCK = 512
PIECE = 256 * 1024
HEAD = 4096
TAIL = 8192
MEMORY = 256 * 2**20
"""The most that an xz decoder may take."""
MOST_HEADER = 2**20
SIZE_DIGITS = 19

MAGIC = {"gzip": b"\x1f\x8b", "bzip2": b"BZh", "xz": b"\xfd7zXZ\0", "zstd": b"\x28\xb5\x2f\xfd", "zip": b"PK\x03\x04"}
SUFFIX = {
    "gz": "gzip",
    "tgz": "gzip",
    "bz2": "bzip2",
    "tbz2": "bzip2",
    "xz": "xz",
    "txz": "xz",
    "zst": "zstd",
    "tzst": "zstd",
    "zip": "zip",
}
TARS = frozenset({"tar", "tgz", "tbz2", "txz", "tzst"})
DUMPS = (
    ("pg_dump", b"PostgreSQL database dump", b"PostgreSQL database dump complete"),
    ("pg_dumpall", b"PostgreSQL database cluster dump", b"PostgreSQL database cluster dump complete"),
    ("mysqldump", b"-- MySQL dump", b"-- Dump completed"),
    ("mysqldump", b"-- MariaDB dump", b"-- Dump completed"),
    ("sqlite3", b"PRAGMA foreign_keys=OFF;", b"COMMIT;"),
)
"""Dump program, what its first lines say, what its last lines say when it ended well."""

AFTER = re.compile(rb"[^\n]*(?:\n(?:--[^\n]*|\\unrestrict [^\n]*|[ \t\r]*))*")
"""What may stand after the last words of a dump: comments, and the last line of newer versions of pg_dump."""

DUMPED = re.compile(
    rb"""^(CREATE[ ](?:UNLOGGED[ ])?TABLE|CREATE[ ]DATABASE|INSERT[ ]INTO|COPY)[ ]
        (?:/\*.*?\*/[ ])?(?:IF[ ]NOT[ ]EXISTS[ ])?["`]?([^\s"`(;]{1,200})""",
    re.MULTILINE | re.VERBOSE,
)
STATEMENT = re.compile(
    rb"^\s*(?:--|/\*|#|\\|(?:alter|begin|copy|create|delete|delimiter|drop|grant|insert|lock|pragma|replace|select|set|"
    rb"start|update|use|with)\b)",
    re.MULTILINE | re.IGNORECASE,
)
"""How a line of SQL begins; what a dump program says instead of a dump, when it fails, does not begin so."""

CUSTOM = b"PGDMP"
"""How pg_dump's custom format begins, whatever its file is called."""

MOST_NAMES = 100_000


@dataclass
class Contents:
    """What was read: the kind of content, whether it proves its own end, and names of what is in it."""

    format: str = ""
    content: str = ""
    proven: bool = False
    entries: int | None = None
    names: set[str] = field(default_factory=set)

    def lacks(self, wanted: Sequence[str]) -> list[str]:
        """The globs that fit no name in it."""
        return [glob for glob in wanted if not any(fnmatch.fnmatchcase(name, glob) for name in self.names)]


def read(chunks: Iterable[bytes], name: str, most_bytes: int, seconds: float) -> Contents:
    """Read a stream to its end; raises Damaged, Empty, Unreadable, and what the stream itself raises."""
    raw = _Feed(chunks)
    head = raw.peek(HEAD)
    kind = next((kind for kind, magic in MAGIC.items() if head.startswith(magic)), "")
    promised = SUFFIX.get(name.lower().rpartition(".")[2], "")
    if promised and promised != kind:
        raise Damaged(f"its name says {promised}, its content is not")
    if kind == "zip":
        raise Unreadable("a zip archive cannot be read as a stream")
    seen = Contents(format=kind, proven=bool(kind))
    plain = _plain(raw.rest(), kind)
    _read(_Feed(_spent(plain, most_bytes, seconds)), name, seen)
    return seen


def _plain(chunks: Iterator[bytes], kind: str) -> Iterator[bytes]:
    if kind == "zstd":
        return through_zstd(chunks)
    return _members(chunks, kind) if kind else chunks


def _spent(pieces: Iterable[bytes], most_bytes: int, seconds: float) -> Iterator[bytes]:
    left, end = most_bytes, time.monotonic() + seconds
    for piece in pieces:
        left -= len(piece)
        if left < 0 or time.monotonic() > end:
            what = "bytes" if left < 0 else "time"
            raise Unreadable(f"read only in part: the rest needs more {what} than one check may take")
        yield piece


class _Feed:
    """Chunks to take, skip and peek in."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._held, self._at = b"", 0

    def peek(self, size: int) -> bytes:
        """Up to `size` bytes without taking them."""
        while len(self._held) - self._at < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held, self._at = self._held[self._at :] + chunk, 0
        return self._held[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end."""
        data = self.peek(size)
        self._at += len(data)
        return data

    def skip(self, size: int) -> bool:
        """Take `size` bytes away; False when there were fewer."""
        while size:
            part = self.take(min(size, PIECE))
            if not part:
                return False
            size -= len(part)
        return True

    def rest(self) -> Iterator[bytes]:
        """All that is left."""
        held, self._held, self._at = self._held[self._at :], b"", 0
        if held:
            yield held
        yield from self._chunks


def _engine(kind: str) -> Callable[[], Any]:
    if kind == "gzip":
        return lambda: zlib.decompressobj(31)
    if kind == "bzip2":
        import bz2

        return bz2.BZ2Decompressor
    import lzma

    return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)


def _members(chunks: Iterable[bytes], kind: str) -> Iterator[bytes]:
    """Members one after the other, as these formats allow; what follows the last one is damage."""
    make, magic, engine, data = _engine(kind), MAGIC[kind], None, b""
    for chunk in chunks:
        data += chunk
        while data and (engine is not None or len(data) >= len(magic)):
            if engine is None:
                _check_start(data, kind)
                engine = make()
            yield from _decompressed(engine, data, kind)
            data = engine.unused_data if engine.eof else b""
            engine = None if engine.eof else engine
    if engine is not None:
        raise Damaged(f"{kind} data is cut off")
    if data:
        _check_start(data, kind)


def _check_start(data: bytes, kind: str) -> None:
    if not data.startswith(MAGIC[kind]):
        what = "other data follows" if data.strip(b"\0") else "zero bytes follow"
        raise Damaged(f"{what} the end of the {kind} data")


def _decompressed(engine: Any, data: bytes, kind: str) -> Iterator[bytes]:
    try:
        while True:
            piece = engine.decompress(data, PIECE)
            data = getattr(engine, "unconsumed_tail", b"")  # zlib gives it back, the others keep it
            if piece:
                yield piece
            if engine.eof or not (data or piece):
                return
    except Exception as error:  # zlib.error, OSError, EOFError, LZMAError, ZstdError
        if isinstance(error, MemoryError) or "emory usage limit" in str(error):
            raise Unreadable(f"{kind} data needs more memory than one check may take") from None
        raise Damaged(f"{kind} data is damaged: {error}") from None


def _read(feed: _Feed, name: str, seen: Contents) -> None:
    head = feed.peek(HEAD)
    if not head:
        raise Empty("nothing in it")
    if _is_tar(head):
        _read_tar(feed, seen)
        return
    if TARS & set(name.lower().split(".")[1:]):
        raise Damaged("its name says tar, its content is not")
    made = [(head.find(first), program, last) for program, first, last in DUMPS if first in head]
    if made:  # the dump of a cluster holds those of its databases
        _, program, last = min(made)
        _read_dump(feed, program, last, seen)
        return
    if "sql" in name.lower().split(".")[1:] and not (head.startswith(CUSTOM) or STATEMENT.search(head)):
        raise Damaged("its name says SQL, its first lines are none")
    seen.content = "data"
    zeros = not head.strip(b"\0")
    for chunk in feed.rest():
        if zeros and chunk.strip(b"\0"):
            raise Damaged("begins with zero bytes, as a file does whose first blocks were lost")
    if zeros:
        raise Empty("only zero bytes")


def _is_tar(head: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(head[:BLOCK], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _read_tar(feed: _Feed, seen: Contents) -> None:
    """Walk the archive to its end marker and to the end of the stream."""
    entries, files, long_name = 0, 0, ""
    more: dict[str, str] = {}
    while True:
        block = feed.take(BLOCK)
        if len(block) < BLOCK:
            raise Damaged(f"tar ends without its end marker after {entries} entries")
        if not block.strip(b"\0"):
            break
        one = _header(block, entries)
        if one.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            data = _padded(feed, one.size, entries)
            more = _pax(data) if one.type == tarfile.XHDTYPE else more
            long_name = data.rstrip(b"\0").decode("utf-8", "replace") if one.type == b"L" else long_name
            continue
        entries += 1
        files += one.isreg()
        _keep(seen, more.get("path") or long_name or one.name)
        _skip_member(feed, one, int(more.get("size", one.size)), block, entries)
        long_name, more = "", {}
    if len(feed.take(BLOCK)) < BLOCK:
        raise Damaged(f"tar ends in its end marker after {entries} entries")
    if any(chunk.strip(b"\0") for chunk in feed.rest()):
        raise Damaged("data after tar's end marker")
    if not files:
        raise Empty(f"tar holds {entries} entries and no file")
    seen.content, seen.entries, seen.proven = "tar", entries, True


def _header(block: bytes, entries: int) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except tarfile.HeaderError:
        raise Damaged(f"tar header after {entries} entries is damaged") from None


def _padded(feed: _Feed, size: int, entries: int) -> bytes:
    padded = size + (-size) % BLOCK
    data = feed.take(padded) if 0 <= size <= MOST_HEADER else b""
    if len(data) < padded or size > MOST_HEADER:
        raise Damaged(f"tar is cut off or damaged after entry {entries}")
    return data[:size]


def _pax(data: bytes) -> dict[str, str]:
    """The path and the size of a pax header: long names and files of more than 8 GiB have them there."""
    found, at = {}, 0
    while at < len(data):
        length = data[at : at + 8].partition(b" ")[0]  # of the whole record: a name may hold line breaks
        if not length.isdigit() or int(length) <= len(length):
            break
        key, equals, value = data[at + len(length) + 1 : at + int(length) - 1].partition(b"=")
        if equals and (key == b"path" or (key == b"size" and value.isdigit() and len(value) <= SIZE_DIGITS)):
            found[key.decode()] = value.decode("utf-8", "replace")
        at += int(length)
    return found


def _skip_member(feed: _Feed, one: tarfile.TarInfo, size: int, block: bytes, entries: int) -> None:
    extended = one.type == tarfile.GNUTYPE_SPARSE and block[482]
    while extended:
        extended = (feed.take(BLOCK) + b"\0" * BLOCK)[504]
    has_data = one.isreg() or one.type not in tarfile.SUPPORTED_TYPES
    if has_data and not feed.skip(size + (-size) % BLOCK):
        raise Damaged(f"tar is cut off inside entry {entries}")


def _keep(seen: Contents, name: str) -> None:
    if len(seen.names) < MOST_NAMES:
        seen.names.add(name.removeprefix("./").rstrip("/"))


def _read_dump(feed: _Feed, program: str, last: bytes, seen: Contents) -> None:
    """Read a dump to the line that its program writes last, and note the tables and databases in it."""
    found: Counter[bytes] = Counter()
    begun, tail = b"", b""
    for chunk in feed.rest():
        tail = (tail + chunk)[-TAIL:]
        lines, newline, begun = (begun + chunk).rpartition(b"\n")
        begun = begun[:HEAD]  # how a line begins is all that tells
        for word, what in DUMPED.findall(lines + newline):
            found[word] += 1
            _keep_dumped(seen, what)
    at = tail.rfind(last)
    if at < 0 or not AFTER.fullmatch(tail, at + len(last)):
        raise Damaged(f"{program}'s last line is missing: the dump was cut off")
    tables = sum(count for word, count in found.items() if word.endswith(b"TABLE"))
    if not tables and not found[b"INSERT INTO"] and not found[b"COPY"]:
        raise Empty(f"{program} of a database without tables")
    seen.content, seen.entries, seen.proven = program, tables, True


def _keep_dumped(seen: Contents, what: bytes) -> None:
    name = what.decode("utf-8", "replace").strip('"`')
    _keep(seen, name)
    _keep(seen, name.rpartition(".")[2].strip('"`'))
