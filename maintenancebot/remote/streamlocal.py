"""A unix socket of the host through an open SSH transport: forwarded by sshd, or relayed by docker under sudo.

paramiko has no call for OpenSSH's `direct-streamlocal@openssh.com` channel; the handshake here is the one of
`Transport.open_channel`, with that channel's own fields.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_OPEN
from paramiko.message import Message

from maintenancebot.errors import RemoteError
from maintenancebot.model import Reason

KIND = "direct-streamlocal@openssh.com"
RELAY = "/usr/bin/sudo -n -- /usr/bin/docker --host unix://{path} system dial-stdio"
"""Names the socket, so that neither a context nor a variable of root's leads to another daemon."""

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]+")
_COMPLAINTS = (
    ("dial unix", Reason.NOT_RESPONDING),  # docker's own words; all below are sudo's
    ("password is required", Reason.BECOME_PASSWORD),
    ("terminal is required", Reason.BECOME_TTY),
    ("must have a tty", Reason.BECOME_TTY),
    ("not allowed", Reason.BECOME_REFUSED),
    ("not in the sudoers", Reason.BECOME_REFUSED),
    ("permission denied", Reason.BECOME_REFUSED),
    ("command not found", Reason.LACKS),
    ("no such file or directory", Reason.LACKS),
)


def open_unix(transport: paramiko.Transport, path: str, timeout: float) -> paramiko.Channel:
    """Connect to a unix socket as the login user.

    Raises paramiko.ChannelException when sshd refuses (nobody listens, no permission, forwarding is off: it does not
    say which), paramiko.SSHException when it does not answer within `timeout` seconds or the transport ends.
    """
    inner: Any = transport  # the handshake needs what paramiko keeps to itself
    channel, number, opened = _register(inner, timeout, path)
    if not opened.wait(timeout):
        _forget(inner, number)
        raise paramiko.SSHException(f"{path}: no answer within {timeout:g} s")
    found = inner._channels.get(number)
    if found is None:
        raise inner.get_exception() or paramiko.SSHException(f"{path}: the connection ended")
    channel.settimeout(timeout)
    return channel


def _register(inner: Any, timeout: float, path: str) -> tuple[paramiko.Channel, int, threading.Event]:
    if not inner.active:
        raise paramiko.SSHException("the connection has ended")
    with inner.lock:
        window, packet = inner._sanitize_window_size(None), inner._sanitize_packet_size(None)
        number = inner._next_channel()
        channel: Any = paramiko.Channel(number)
        inner._channels.put(number, channel)
        inner.channel_events[number] = opened = threading.Event()
        inner.channels_seen[number] = True
        channel._set_transport(inner)
        channel._set_window(window, packet)
    inner._send_user_message(_request(number, window, packet, path))
    return channel, number, opened


def _request(number: int, window: int, packet: int, path: str) -> Message:
    message = Message()
    message.add_byte(cMSG_CHANNEL_OPEN)
    message.add_string(KIND)
    for field in (number, window, packet):
        message.add_int(field)
    message.add_string(path)
    message.add_string("")  # two fields that OpenSSH keeps for later use
    message.add_int(0)
    return message


def _forget(inner: Any, number: int) -> None:
    with inner.lock:
        inner._channels.delete(number)
        inner.channel_events.pop(number, None)


def open_dial_stdio(transport: paramiko.Transport, path: str, timeout: float) -> DialStdio:
    """Connect to docker's socket as root, for logins that may not open it: sudo runs docker's own relay.

    Only plain paths are taken, since this one becomes part of a command line. Raises RemoteError(NOT_ALLOWED) for
    others, paramiko.SSHException when no channel can be had. What sudo or docker object to, the first `recv` raises.
    """
    if not _PLAIN_PATH.fullmatch(path):
        raise RemoteError(Reason.NOT_ALLOWED, f"{path!r}: only letters, digits and . _ / - in the path of a socket")
    channel = transport.open_session(timeout=timeout)
    channel.settimeout(timeout)
    channel.exec_command(RELAY.format(path=path))
    return DialStdio(channel)


class DialStdio:
    """The relay's channel as a stream; tells why the relay ended when it ended without a word from the daemon."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._spoke = False

    def settimeout(self, timeout: float | None) -> None:
        """Limit for each receive and send, in seconds."""
        self._channel.settimeout(timeout)

    def recv(self, size: int, /) -> bytes:
        """Bytes of the daemon, empty at its end; raises RemoteError when sudo or docker refused."""
        data = self._channel.recv(size)
        if not data and not self._spoke:
            self._complain()
        self._spoke = True
        return data

    def sendall(self, data: bytes, /) -> None:
        """Send to the daemon; a relay that is gone already is told of by `recv`, which knows why."""
        try:
            self._channel.sendall(data)
        except OSError:
            if not self._channel.closed and not self._channel.eof_received:
                raise

    def close(self) -> None:
        """End the relay: its standard input closes."""
        self._channel.close()

    def _complain(self) -> None:
        said = b""
        while len(said) < 4096 and (data := self._channel.recv_stderr(4096)):
            said += data
        text = said.decode("utf-8", "replace").strip()
        last = text.splitlines()[-1][:300] if text else "the relay ended without a word"
        reasons = (reason for words, reason in _COMPLAINTS if words in text.lower())
        raise RemoteError(next(reasons, Reason.NOT_RESPONDING), last)
