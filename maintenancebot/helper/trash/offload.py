"""Brings items of the trash to an object store and back, with addresses that the controller signs one by one.

The host has no credential and chooses neither bucket nor key. Local bytes may go only after `upload` returned: then the
store was seen to hold the same bytes, by a checksum that it computed itself or by reading them back.
"""

import hashlib
import os
import time

from .. import frames
from ..files import packing, walk
from ..pulse import Pulse
from . import transfer

TRIES = 3
PAUSES = (1, 5, 15, 30)
TAKES = 5
"""How often a part is sent, with growing pauses, and how often a reading that broke off is taken up again."""


def upload(fd, record, args, out):
    """Bring the bytes of an open file to the object store; returns what belongs into `record["offload"]`.

    Raises Refused; then the store holds nothing of it, as far as it still answers.
    """
    if not args.get("offload"):
        raise walk.Refused("not_configured", "no object store is configured")
    transfer.must_be_possible()
    begun = _ask(out, "offload_begin", item=record["id"], size=os.fstat(fd).st_size)
    sending = _Upload(fd, begun, out)
    try:
        return sending.make()
    except frames.StdinClosed:
        raise
    except Exception:
        sending.give_up()
        raise


def fetch(record, write_fd, out, holes=False):
    """Write what the object store holds of an item to an empty open file, and compare it. Raises Refused.

    With `holes` long runs of zeros take no space.
    """
    transfer.must_be_possible()
    place = _place(record)
    _take(_Sink(place["size"], write_fd, holes), place["sha256"], out, "offload_get", item=record["id"], place=place)
    os.ftruncate(write_fd, place["size"])  # it may end with a hole


def forget(record, out):
    """Have the object of an item deleted; returns when it was seen to be gone. Raises Refused."""
    answer = _ask(out, "offload_delete", item=record["id"], place=_place(record))
    if answer.get("gone") is not True:
        raise walk.Refused("offload_failed", "the object was not seen to be gone")


class _Upload:
    """One upload: part by part read, signed for, sent; then put together and proven."""

    def __init__(self, fd, begun, out):
        self._fd, self._out = fd, out
        self._id = begun["upload"]
        self._size, self._part_size = os.fstat(fd).st_size, begun["part_size"]
        self._exists = begun["exists"]  # made by an earlier try whose end was not recorded; nothing is sent again
        self._pulse = Pulse(out, "reading what goes to the object store")
        self._whole = hashlib.sha256()
        self._sent = False

    def make(self):
        etags = []
        for number, start in enumerate(range(0, max(1, self._size), self._part_size), 1):
            part = _Part(self._fd, start, min(self._part_size, self._size - start), self._pulse)
            part.hash(self._whole)
            if not self._exists:
                etags.append(self._send(number, part))
        return self._complete(etags)

    def give_up(self):
        """Have everything of it removed from the store; what cannot be is the controller's to try again."""
        try:
            self._out.ask("offload_abort", upload=self._id, sent=self._sent)
        except frames.StdinClosed:
            raise
        except Exception:
            return

    def _send(self, number, part):
        """Send one part and return its ETag; in the end Refused."""
        plain, trouble = False, ""
        for attempt in range(TRIES):
            try:
                answer = self._put(number, part, plain, attempt)
            except transfer.Broken as error:
                trouble = str(error)
                continue
            if 200 <= answer.status < 300:
                self._sent = True
                return answer.headers.get("etag", "")
            if answer.status == 412 and attempt:  # made by a try whose answer was lost; what is there gets compared
                return ""
            trouble = answer.words()
            if not answer.again and (plain or answer.status != 501):
                break
            plain = plain or answer.status == 501  # a store that does not know one of our headers
        raise walk.Refused("offload_failed", "part %d: %s" % (number, trouble))

    def _put(self, number, part, plain, attempt):
        """One try, with a new address: the last one may have run out."""
        _pause(attempt)
        signed = _ask(self._out, "offload_part", upload=self._id, number=number, sha256=part.sha256, plain=plain)
        return transfer.put(signed, part.size, part.reader(), self._out)

    def _complete(self, etags):
        sha256 = self._whole.hexdigest()
        answer = _ask(self._out, "offload_complete", upload=self._id, etags=etags, sha256=sha256)
        if answer["verified"] is not True:
            _take(_Sink(self._size), sha256, self._out, "offload_read", upload=self._id)
        return answer["place"]


class _Part:
    """A stretch of the file; read twice, to be signed for and to be sent, and the same both times."""

    def __init__(self, fd, start, size, pulse):
        self.size = size
        self.sha256 = ""
        self._fd, self._start, self._pulse = fd, start, pulse

    def hash(self, whole):
        """Read it into its own checksum and into that of the whole file."""
        own, at = hashlib.sha256(), 0
        while at < self.size:
            data = self._read(at, min(transfer.CHUNK, self.size - at))
            own.update(data)
            whole.update(data)
            at += len(data)
            self._pulse.beat()
        self.sha256 = own.hexdigest()

    def reader(self):
        """`read(offset, count)` for one sending; raises Refused when these are not the bytes that were signed for."""
        again = hashlib.sha256()

        def read(offset, count):
            data = self._read(offset, count)
            again.update(data)
            if offset + len(data) == self.size and again.hexdigest() != self.sha256:
                raise walk.Refused("changed_since", "the file changed while it was sent")
            return data

        return read

    def _read(self, offset, count):
        data = os.pread(self._fd, count, self._start + offset)
        if not data:
            raise walk.Refused("changed_since", "the file became shorter while it was read")
        return data


class _Sink:
    """Takes what the store sends, never more than there should be; without a descriptor it only looks."""

    def __init__(self, size, fd=None, holes=False):
        self.size, self._fd, self._holes = size, fd, holes
        self._empty()

    def _empty(self):
        self.at, self.digest = 0, hashlib.sha256()
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)

    def begin(self, answer):
        """Go on where it broke off, or from the start when the store sends everything again."""
        if answer.status == 200:
            self._empty()
        elif not answer.headers.get("content-range", "").startswith("bytes %d-" % self.at):
            raise transfer.Broken("the store sends another range than asked for")

    def write(self, data):
        """Keep a piece. Raises Refused when it is more than was stored."""
        if self.at + len(data) > self.size:
            raise walk.Refused("offload_failed", "the store holds more than was stored")
        self.digest.update(data)
        if self._fd is not None:
            packing.write(self._fd, data, self._holes)
        self.at += len(data)


def _take(sink, sha256, out, kind, **question):
    """Receive a whole object into the sink, however often it breaks off, and compare it. Raises Refused."""
    trouble = ""
    for attempt in range(TAKES):
        _pause(attempt)
        try:
            answer = transfer.get(_ask(out, kind, **question), sink, out)
        except transfer.Broken as error:
            trouble = str(error)
            continue
        if answer.status in (200, 206):
            if sink.at == sink.size:
                return _compare(sink, sha256)
            trouble = "it broke off"
        else:
            trouble = answer.words()
            if not answer.again:
                break
    raise walk.Refused("offload_failed", "reading from the object store: %s" % trouble)


def _pause(attempt):
    if attempt:
        time.sleep(PAUSES[attempt - 1])


def _compare(sink, sha256):
    if sink.digest.hexdigest() != sha256:
        raise walk.Refused("offload_failed", "the object store does not hold what was sent")


def _ask(out, kind, **question):
    answer = out.ask(kind, **question)
    if answer.get("refused"):
        raise walk.Refused(answer["refused"], answer.get("detail", ""))
    return answer


def _place(record):
    place = record.get("offload")
    if not isinstance(place, dict) or not isinstance(place.get("size"), int) or not place.get("sha256"):
        raise walk.Refused("unreadable", "the record does not say where in the object store it is")
    return place
