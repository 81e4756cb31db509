"""Bytes of a backup as a bounded stream: read within a budget, decompressed piece by piece, hashed on the way."""

import errno
import os
import select
import signal
import subprocess
import time
import zlib

from ..host import tools

PIECE = 256 * 1024
MEMORY = 256 * 1024 * 1024
"""The most that an xz decoder may take."""

SAID = 16
"""How many pieces of a program's complaints are kept."""

MAGIC = (("gzip", b"\x1f\x8b"), ("bzip2", b"BZh"), ("xz", b"\xfd7zXZ\0"), ("zstd", b"\x28\xb5\x2f\xfd"))
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


class Damaged(Exception):
    """The backup cannot be what it should be; the message says why."""


class Empty(Exception):
    """The backup is whole and holds nothing."""


class Lacking(Exception):
    """This host cannot read the format; nothing is known of its content."""


class Spent(Exception):
    """The budget of bytes or time is used up; nothing is known of the rest."""


class Budget:
    """What one source may cost: decompressed bytes and seconds; says `alive` on the way."""

    def __init__(self, limit_bytes, limit_seconds, out=None, doing="reading"):
        self.left = limit_bytes
        self.end = time.monotonic() + limit_seconds
        self._out, self._doing = out, doing
        self._spoke = time.monotonic()

    @property
    def out(self):
        """Where `alive` is said."""
        return self._out

    def seconds(self):
        """How many seconds are left."""
        return self.end - time.monotonic()

    def spend(self, size):
        """Account for `size` bytes; raises Spent."""
        now = time.monotonic()
        self.left -= size
        if self.left < 0 or now > self.end:
            what = "time" if now > self.end else "bytes"
            raise Spent("read only in part: the rest needs more %s than one check may take" % what)
        if self._out is not None and now - self._spoke > tools.ALIVE_SECONDS:
            self._out.alive(self._doing)
            self._spoke = now


class Feed:
    """A stream of chunks to take, skip and peek in."""

    def __init__(self, chunks, budget):
        self._chunks = iter(chunks)
        self.spend = budget.spend
        self._buffer = b""
        self._at = 0
        self.total = 0

    def _fill(self):
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return True

    def _held(self):
        return len(self._buffer) - self._at

    def peek(self, size):
        """Up to `size` bytes without taking them."""
        while self._held() < size and self._fill():
            pass
        return self._buffer[self._at : self._at + size]

    def take(self, size):
        """`size` bytes, fewer only at the end."""
        data = self.peek(size)
        self._at += len(data)
        self.total += len(data)
        return data

    def skip(self, size):
        """Take `size` bytes away and return how many there were."""
        left = size
        while left and (self._held() or self._fill()):
            part = min(left, self._held())
            self._at += part
            left -= part
        self.total += size - left
        return size - left

    def rest(self):
        """All that is left, in chunks."""
        while self._held() or self._fill():
            chunk, self._buffer, self._at = self._buffer[self._at :], b"", 0
            self.total += len(chunk)
            yield chunk

    def rest_if_not_zero(self):
        """The first chunk of the rest that is not all zeros, if there is one; reads as far as that."""
        for chunk in self.rest():
            if chunk.strip(b"\0"):
                yield chunk
                return

    def drain(self):
        """Read to the end and return the number of all bytes."""
        for _ in self.rest():
            pass
        return self.total


def has_data(descriptor):
    """Whether a file has any data on its disk; one that is all hole reads as zeros and would take long to read."""
    try:
        os.lseek(descriptor, 0, os.SEEK_DATA)
    except OSError as error:
        return error.errno != errno.ENXIO
    return True


def chunks_of(descriptor, budget, digest=None):
    """The file's bytes from its start; they do not push other files out of the page cache."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    done = 0
    while True:
        try:
            chunk = os.read(descriptor, PIECE)
        except OSError as error:
            raise Damaged("cannot be read after %d bytes: %s" % (done, error.strerror)) from error
        if not chunk:
            return
        os.posix_fadvise(descriptor, done, len(chunk), os.POSIX_FADV_DONTNEED)
        done += len(chunk)
        if digest is not None:
            digest.update(chunk)
        budget.spend(0)
        yield chunk


def kind_of(head):
    """The compression that the first bytes tell, or an empty string."""
    return next((kind for kind, magic in MAGIC if head.startswith(magic)), "")


def expected(name):
    """The compression that a file's name promises, or an empty string."""
    return SUFFIX.get(name.lower().rpartition(".")[2], "")


def decompressed(kind, descriptor, budget, digest=None):
    """The decompressed bytes of the whole file, and nothing may follow; raises Damaged, Lacking or Spent."""
    if kind == "zstd":
        pieces = _zstd(descriptor, budget)
    else:
        pieces = _members(chunks_of(descriptor, budget, digest), kind, _engine(kind))
    for piece in pieces:
        budget.spend(len(piece))
        yield piece


def _engine(kind):
    if kind == "gzip":
        return lambda: zlib.decompressobj(31)
    try:
        if kind == "bzip2":
            import bz2

            return bz2.BZ2Decompressor
        import lzma

        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)
    except ImportError:
        raise Lacking("this host's python3 cannot read %s" % kind) from None


def _members(chunks, kind, make):
    """Members one after the other, as gzip, bzip2 and xz allow; what follows the last one is damage."""
    magic = dict(MAGIC)[kind]
    engine, data = None, b""
    for chunk in chunks:
        data += chunk
        while data and (engine is not None or len(data) >= len(magic)):
            if engine is None:
                _check_start(data, magic, kind)
                engine = make()
            for piece in _feed_engine(engine, data, kind):
                yield piece
            data = engine.unused_data if engine.eof else b""
            engine = None if engine.eof else engine
    if engine is not None:
        raise Damaged("%s data is cut off" % kind)
    if data:
        _check_start(data, magic, kind)


def _check_start(data, magic, kind):
    if data.startswith(magic):
        return
    what = "other data follows" if data.strip(b"\0") else "zero bytes follow"
    raise Damaged("%s the end of the %s data" % (what, kind))


def _feed_engine(engine, data, kind):
    try:
        while True:
            piece = engine.decompress(data, PIECE)
            data = getattr(engine, "unconsumed_tail", b"")  # zlib gives it back, the others keep it
            if piece:
                yield piece
            if engine.eof or not (data or piece):
                return
    except Exception as error:  # zlib.error, OSError, EOFError, lzma.LZMAError: modules that may not be there
        if isinstance(error, MemoryError) or "emory usage limit" in str(error):
            raise Lacking("%s data needs more memory than one check may take" % kind) from error
        raise Damaged("%s data is damaged: %s" % (kind, error)) from error


def _zstd(descriptor, budget):
    """Through the host's own program, as nobody: Python reads zstd only from 3.14."""
    program = tools.find("zstd")
    if program is None:
        raise Lacking("this host cannot read zstd")
    os.lseek(descriptor, 0, os.SEEK_SET)
    process = subprocess.Popen(
        [program, "-dcq"],
        stdin=descriptor,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=tools.environment(),
        cwd="/",
        preexec_fn=_nobody,
    )
    try:
        said = []
        for piece in _pieces(process, said, budget):
            yield piece
        if _code(process, budget) != 0:
            words = b"".join(said).decode("utf-8", "replace").strip().splitlines()
            raise Damaged("zstd data is damaged: %s" % (words[-1] if words else "exit code %s" % process.returncode))
    finally:
        process.stdout.close()
        process.stderr.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _pieces(process, said, budget):
    """What a program prints, piece by piece, and the first of what it complains of in `said`; Spent if it hangs."""
    output, errors = process.stdout.fileno(), process.stderr.fileno()
    waiting = [output, errors]
    while output in waiting:
        for ready in select.select(waiting, [], [], 1.0)[0]:
            piece = os.read(ready, PIECE)
            if not piece:
                waiting.remove(ready)
            elif ready == output:
                yield piece
            elif len(said) < SAID:
                said.append(piece[:4096])
        budget.spend(0)


def _code(process, budget):
    """A program's exit code; Spent if it does not end."""
    while True:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            budget.spend(0)


def _nobody():
    os.setsid()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
