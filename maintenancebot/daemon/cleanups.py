"""What was started is stopped in reverse order: each by its name, once, within what is left of one limit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Cleanups:
    """Named ends of what was started."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Callable[[float], object]]] = []

    def add(self, name: str, stop: Callable[[float], object]) -> None:
        """`stop` is called with the seconds that are left; False from it means that it did not end in time."""
        with self._lock:
            self._waiting.append((name, stop))

    def run(self, seconds: float) -> bool:
        """Stop everything, the latest first, whatever one of them does; whether all ended. Again does nothing."""
        until, ended = self._clock() + seconds, True
        while (one := self._pop()) is not None:
            name, stop = one
            try:
                in_time = stop(max(0.0, until - self._clock())) is not False
            except Exception:
                in_time = False
                _log.exception("a part could not be stopped", extra={"action": "stop_failed", "part": name})
            if not in_time:
                _log.warning("a part did not end in time", extra={"action": "left_behind", "part": name})
            ended = ended and in_time
        return ended

    def _pop(self) -> tuple[str, Callable[[float], object]] | None:
        with self._lock:
            return self._waiting.pop() if self._waiting else None
