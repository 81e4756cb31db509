"""One host that hangs up must not end the connection that others share: nothing follows a channel's close."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import paramiko
import pytest
from paramiko.common import MSG_CHANNEL_CLOSE, MSG_CHANNEL_DATA, MSG_CHANNEL_EOF

from maintenancebot.remote.tunnel import Tunnel


class Line:
    """A transport that keeps the kinds of messages in the order in which they went out."""

    active = True

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.before_data: Callable[[], None] = lambda: None

    def get_log_channel(self) -> str:
        return "test"

    def _sanitize_packet_size(self, size: int) -> int:
        return size

    def _unlink_channel(self, _number: int) -> None:
        """Forgotten."""

    def _send_user_message(self, message: Any) -> None:
        kind = message.asbytes()[0]
        if kind == MSG_CHANNEL_DATA:
            self.before_data()
        self.sent.append(kind)


@pytest.fixture
def line() -> Line:
    return Line()


def tunnel(line: Line) -> Any:
    channel: Any = paramiko.Channel(1)
    channel._set_transport(line)
    channel._set_window(2**20, 2**15)
    channel._set_remote_channel(1, 2**20, 2**15)
    channel._sending = threading.Lock()
    channel.__class__ = Tunnel
    return channel


@pytest.mark.parametrize(
    "closing",
    [lambda channel: channel._handle_close(None), lambda channel: channel.close()],
    ids=["by the other side", "by us"],
)
def test_a_close_waits_for_the_data_that_is_on_its_way(line: Line, closing: Callable[[Any], None]) -> None:
    channel = tunnel(line)
    thread = threading.Thread(target=closing, args=(channel,))

    def other_side_hangs_up() -> None:
        thread.start()
        thread.join(0.3)  # it cannot end while this is being sent

    line.before_data = other_side_hangs_up
    assert channel.send(b"data") == 4
    thread.join(10)
    assert line.sent == [MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE]


def test_nothing_is_sent_on_a_closed_channel(line: Line) -> None:
    channel = tunnel(line)
    channel._handle_close(None)
    with pytest.raises(OSError, match="closed"):
        channel.send(b"data")
    assert line.sent == [MSG_CHANNEL_EOF, MSG_CHANNEL_CLOSE]
