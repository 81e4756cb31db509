"""Frames to and from the controller: per-run marker, sequence number, length, checksum."""

import binascii
import json
import threading

BATCH_ITEMS = 200
BATCH_BYTES = 48 * 1024


class StdinClosed(Exception):
    """The controller is gone: finish the change in hand and end."""


class Writer:
    """Writes frames, one whole frame at a time whatever thread it comes from."""

    def __init__(self, stream, marker):
        self._stream = stream
        self._marker = marker
        self._sequence = 0
        self._lock = threading.Lock()

    def send(self, kind, payload):
        """Send one frame; raises BrokenPipeError when nobody listens any more."""
        data = json.dumps(payload, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        with self._lock:
            head = "\n%%MB1 %s %d %s %d %08x\n" % (
                self._marker,
                self._sequence,
                kind,
                len(data),
                binascii.crc32(data) & 0xFFFFFFFF,
            )
            self._stream.write(head.encode("ascii") + data + b"\n")
            self._stream.flush()
            self._sequence += 1

    def end(self):
        """Close the answer; what follows is not ours."""
        self.send("end", {"frames": self._sequence})


class Output:
    """What a probe operation is handed to report with."""

    def __init__(self, writer, task, ask=None):
        self._writer = writer
        self._task = task
        self._ask = ask
        self._items = []
        self._bytes = 0

    def finding(self, kind, subject, **data):
        """Report one thing seen; `data` is plain JSON, bytes decoded with `text()`."""
        self._items.append({"kind": kind, "subject": subject, "data": data})
        self._bytes += 80 + 2 * len(subject) + 30 * len(data)
        if len(self._items) >= BATCH_ITEMS or self._bytes >= BATCH_BYTES:
            self.flush()

    def alive(self, doing):
        """Say that the main loop is still at work, e.g. while it waits for a tool."""
        self.flush()
        self._writer.send("alive", {"task": self._task, "doing": doing})

    def ask(self, kind, **question):
        """Ask the controller in the middle of a step and return its answer, a dictionary.

        For what only it can do, as signing an address of an object store. An answer with `refused` says why not.
        Raises StdinClosed when the controller is gone: whoever asks must leave everything whole before.
        """
        self.flush()
        return self._ask(dict(question, ask=kind))

    def flush(self):
        """Send what was gathered."""
        if self._items:
            self._writer.send("finding", {"task": self._task, "items": self._items})
            self._items = []
            self._bytes = 0


class Reader:
    """Reads the controller's frames in a thread of its own, so that the end of stdin is noticed at once."""

    def __init__(self, stream, marker):
        self._stream = stream
        self._marker = marker
        self._ready = threading.Condition()
        self._frames = []
        self.closed = False
        thread = threading.Thread(target=self._run)
        thread.daemon = True
        thread.start()

    def next(self):
        """Wait for the next frame: (kind, payload); raises StdinClosed at the end of stdin."""
        with self._ready:
            while not self._frames:
                if self.closed:
                    raise StdinClosed()
                self._ready.wait(1)
            return self._frames.pop(0)

    def _run(self):
        try:
            while True:
                frame = self._read_frame()
                if frame is None:
                    break
                with self._ready:
                    self._frames.append(frame)
                    self._ready.notify_all()
        except Exception:  # a damaged request is the same as none
            self.damaged = True
        finally:
            with self._ready:
                self.closed = True
                self._ready.notify_all()

    def _read_frame(self):
        line = self._stream.readline(400)
        while line == b"\n":
            line = self._stream.readline(400)
        if not line:
            return None
        tag, marker, _sequence, kind, length, checksum = line.decode("ascii").split()
        if tag != "%MB1" or marker != self._marker:
            raise ValueError("not a frame of this run")
        data = self._stream.read(int(length))
        if len(data) != int(length) or binascii.crc32(data) & 0xFFFFFFFF != int(checksum, 16):
            raise ValueError("damaged frame")
        return kind, json.loads(data.decode("ascii"))


def text(name):
    """Bytes as JSON text; what is not UTF-8 becomes lone surrogates and comes back with `raw()`."""
    return name.decode("utf-8", "surrogateescape")


def raw(name):
    """The bytes again that `text()` was given."""
    return name.encode("utf-8", "surrogateescape")
