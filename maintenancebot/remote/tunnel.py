"""Channels to hosts behind a bastion, whose one connection many hosts share.

paramiko may still send data on a channel right after it answered the other side's close. OpenSSH takes that for a
broken peer and ends the whole connection, so that one host that hangs up would take all others with it. Here data and
close are sent one after the other.
"""

from __future__ import annotations

import threading
from typing import Any

import paramiko

REKEY_SECONDS = 5.0
"""A sender may wait for new keys, which the very thread brings that hears of the close: it must not wait for ever."""


class Tunnel(paramiko.Channel):
    """A channel that sends nothing more once its close was sent."""

    _sending: threading.Lock

    def _send(self, s: bytes, m: Any) -> int:
        inner: Any = self  # what paramiko keeps to itself
        with inner.lock:
            if inner.closed:
                raise OSError("the channel is closed")
            size: int = inner._wait_for_send_window(len(s))
            if size == 0:
                return 0
            m.add_string(s[:size])
        with self._sending:
            if inner.closed:
                raise OSError("the channel is closed")
            inner.transport._send_user_message(m)
        return size

    def _handle_close(self, m: Any) -> None:
        inner: Any = super()
        held = self._sending.acquire(timeout=REKEY_SECONDS)
        try:
            inner._handle_close(m)
        finally:
            if held:
                self._sending.release()

    def close(self) -> None:
        """Close it, after whatever is being sent."""
        with self._sending:
            super().close()


def open_tunnel(transport: paramiko.Transport, address: str, port: int, timeout: float) -> Tunnel:
    """A connection from the other side of a transport; raises what `Transport.open_channel` raises."""
    channel: Any = transport.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
    channel._sending = threading.Lock()
    channel.__class__ = Tunnel  # paramiko makes each channel itself; nothing was sent on this one yet
    tunnel: Tunnel = channel
    return tunnel
