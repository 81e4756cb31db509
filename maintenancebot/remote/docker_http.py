"""HTTP over a `Stream`: the pool and the adapter that the docker SDK sends its requests through.

Imported late, by `docker_socket` alone: requests, urllib3 and docker take half a second.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from typing import Any

import urllib3.connection
import urllib3.connectionpool
from docker.transport.basehttpadapter import BaseHTTPAdapter

from maintenancebot.errors import RemoteError
from maintenancebot.model import Reason
from maintenancebot.remote.session import Stream

Opener = Callable[[float], Stream]
"""Opens a new stream to the daemon within the given seconds."""


class Limits:
    """What a whole conversation may take: seconds until its end, bytes received."""

    def __init__(self, seconds: float, received: int) -> None:
        self._end = time.monotonic() + seconds
        self._left = received

    def remaining(self, wanted: float | None) -> float:
        """Seconds that the next step may wait; raises RemoteError when the time is over."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise RemoteError(Reason.NOT_RESPONDING, "the daemon did not answer everything in time")
        return left if wanted is None else min(wanted, left)

    def count(self, received: int) -> None:
        """Account for bytes; raises RemoteError when there are too many."""
        self._left -= received
        if self._left < 0:
            raise RemoteError(Reason.GARBLED, "the daemon sends more than can be an answer")


class _Reader(io.RawIOBase):
    """Reads a stream for http.client; closing it leaves the stream open, as with a socket's file."""

    def __init__(self, socket: StreamSocket) -> None:
        self._socket = socket

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._socket.receive(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class StreamSocket:
    """As much of a socket as http.client and urllib3 ask for."""

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._timeout: float | None = None

    def settimeout(self, timeout: float | None) -> None:
        """Limit for each single receive; the conversation's own limit stays above it."""
        self._timeout = timeout

    def receive(self, size: int) -> bytes:
        """Some bytes, empty at the end."""
        self._stream.settimeout(self._limits.remaining(self._timeout))
        data = self._stream.recv(size)
        self._limits.count(len(data))
        return data

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._stream.settimeout(self._limits.remaining(self._timeout))
        self._stream.sendall(bytes(data))

    def makefile(self, _mode: str, _buffering: int | None = None) -> io.BufferedReader:
        """The reading side."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class _Connection(urllib3.connection.HTTPConnection):
    def __init__(self, opener: Opener, limits: Limits, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._opener, self._limits, self._wait = opener, limits, timeout

    def connect(self) -> None:
        stream = self._opener(self._limits.remaining(self._wait))
        self.sock = StreamSocket(stream, self._limits)

    @property
    def is_connected(self) -> bool:  # urllib3 would select() on a descriptor, which a channel does not really have
        return self.sock is not None


class _Pool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, opener: Opener, limits: Limits, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout, maxsize=1)
        self._opener, self._limits, self._wait = opener, limits, timeout

    def _new_conn(self) -> _Connection:
        return _Connection(self._opener, self._limits, self._wait)


class StreamAdapter(BaseHTTPAdapter):
    """Sends every request through one pool of streams, whatever host its address names."""

    def __init__(self, opener: Opener, limits: Limits, timeout: float) -> None:
        self._pool = _Pool(opener, limits, timeout)
        super().__init__()

    def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:
        """The pool; no address and no proxy leads anywhere else."""
        return self._pool

    def close(self) -> None:
        """Close the streams."""
        super().close()
        self._pool.close()
