"""Signals: the first SIGTERM or SIGINT ends in order, a second one at once; SIGHUP reloads."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
from enum import Enum
from types import FrameType

AT_ONCE = b"maintenancebot: ended at once; the next start looks up what was unfinished\n"


class Order(Enum):
    """What a signal asks for."""

    STOP = "stop"
    RELOAD = "reload"


class Signals:
    """Orders in the sequence of their signals."""

    def __init__(self) -> None:
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._is_ending = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGHUP, lambda *_: self._orders.put(Order.RELOAD))

    def wait(self, seconds: float) -> Order | None:
        """The next order, or None after this time."""
        with contextlib.suppress(queue.Empty):
            return self._orders.get(timeout=seconds)
        return None

    def _end(self, number: int, _: FrameType | None) -> None:
        if self._is_ending:
            with contextlib.suppress(OSError):
                os.write(2, AT_ONCE)
            # Not sys.exit: it would wait for threads. What is intended is on disk already.
            os._exit(128 + number)
        self._is_ending = True
        self._orders.put(Order.STOP)
