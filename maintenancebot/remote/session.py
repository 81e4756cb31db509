"""The port through which a host is worked with; SSH and local connections have the same one."""

from __future__ import annotations

from typing import Protocol

from maintenancebot.model import Host


class Stream(Protocol):
    """A byte stream to something on the host: a paramiko channel or a socket."""

    def settimeout(self, timeout: float | None) -> None: ...
    def recv(self, size: int, /) -> bytes: ...
    def sendall(self, data: bytes, /) -> object: ...
    def close(self) -> None: ...


class Execution(Protocol):
    """A running helper: its standard input and both its outputs."""

    def send(self, data: bytes) -> None:
        """Write to standard input; raises RemoteError(LINK_LOST) when nobody reads it any more."""
        ...

    def receive(self, timeout: float) -> tuple[bytes, bytes] | None:
        """What came on standard output and standard error, both empty when neither within `timeout` seconds.

        None when both are at their end.
        """
        ...

    def exit_status(self) -> int | None:
        """The exit code, None when it is not known: ended by a signal, or the link died."""
        ...

    def close(self) -> None:
        """Close all streams; the helper ends by itself."""
        ...


class Session(Protocol):
    """An open connection to one host."""

    @property
    def host(self) -> Host: ...

    def start_helper(self) -> Execution:
        """Start the helper's fixed command line; raises RemoteError."""
        ...

    def open_unix(self, path: str, timeout: float) -> Stream:
        """Connect to a unix socket on the host over the same connection.

        Raises RemoteError(NOT_RESPONDING) when nobody listens, RemoteError(BECOME_REFUSED) when the login may not.
        """
        ...

    def close(self) -> None: ...
