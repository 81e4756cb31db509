"""Frames of the helper protocol on the controller's side, see docs/architecture.md."""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Iterator

from maintenancebot.errors import RemoteError
from maintenancebot.model import Json, Reason

NOISE_CAP = 1024 * 1024
FRAME_CAP = 1024 * 1024
TOTAL_CAP = 64 * 1024 * 1024


def encode(marker: str, sequence: int, kind: str, payload: Json) -> bytes:
    """One frame for the helper."""
    data = json.dumps(payload, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    head = f"\n%MB1 {marker} {sequence} {kind} {len(data)} {crc32(data):08x}\n"
    return head.encode("ascii") + data + b"\n"


class Parser:
    """Finds this run's frames in whatever a host prints; all else is noise, counted and capped."""

    def __init__(self, marker: str) -> None:
        self._start = f"\n%MB1 {marker} ".encode("ascii")
        self._buffer = bytearray(b"\n")
        self._sequence = 0
        self._total = 0
        self.noise = 0
        self.ended = False

    def feed(self, data: bytes) -> Iterator[tuple[str, dict[str, Json]]]:
        """Take what came and yield the whole frames in it.

        Raises RemoteError(GARBLED) for damage, gaps in the numbering and for more than the caps allow.
        """
        self._total += len(data)
        if self._total > TOTAL_CAP:
            raise RemoteError(Reason.GARBLED, f"the host sent more than {TOTAL_CAP} bytes")
        self._buffer += data
        while not self.ended:
            frame = self._next()
            if frame is None:
                return
            yield frame

    def _next(self) -> tuple[str, dict[str, Json]] | None:
        start = self._buffer.find(self._start)
        if start < 0:
            self._skip(max(0, len(self._buffer) - len(self._start) + 1))
            return None
        self._skip(start)
        line_end = self._buffer.find(b"\n", 1)
        if line_end < 0:
            if len(self._buffer) > 400:
                raise RemoteError(Reason.GARBLED, "a frame's head has no end")
            return None
        kind, length, checksum = self._head(bytes(self._buffer[len(self._start) : line_end]))
        if len(self._buffer) < line_end + 1 + length:
            return None
        data = bytes(self._buffer[line_end + 1 : line_end + 1 + length])
        if crc32(data) != checksum:
            raise RemoteError(Reason.GARBLED, f"frame {self._sequence} is damaged")
        del self._buffer[: line_end + 1 + length]
        return self._accept(kind, data)

    def _head(self, fields: bytes) -> tuple[str, int, int]:
        try:
            number, kind, length_text, checksum_text = fields.decode("ascii").split(" ")
            sequence, length, checksum = int(number), int(length_text), int(checksum_text, 16)
        except ValueError as error:
            raise RemoteError(Reason.GARBLED, "a frame's head cannot be read") from error
        if sequence != self._sequence:
            raise RemoteError(Reason.GARBLED, f"frame {self._sequence} is missing")
        if not 0 <= length <= FRAME_CAP:
            raise RemoteError(Reason.GARBLED, f"frame {self._sequence} claims {length} bytes")
        return kind, length, checksum

    def _accept(self, kind: str, data: bytes) -> tuple[str, dict[str, Json]]:
        try:
            payload = json.loads(data)
        except ValueError as error:
            raise RemoteError(Reason.GARBLED, f"frame {self._sequence} is not JSON") from error
        if not isinstance(payload, dict):
            raise RemoteError(Reason.GARBLED, f"frame {self._sequence} is not an object")
        if kind == "end":
            if payload.get("frames") != self._sequence:
                raise RemoteError(Reason.GARBLED, "the number of frames does not fit")
            self.ended = True
        self._sequence += 1
        return kind, payload

    def _skip(self, count: int) -> None:
        self.noise += count - self._buffer.startswith(b"\n", 0, count)  # the newline after each payload is ours
        if self.noise > NOISE_CAP:
            raise RemoteError(Reason.GARBLED, f"the login prints more than {NOISE_CAP} bytes of its own")
        del self._buffer[:count]
