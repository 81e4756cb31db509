"""A thread that does one thing over and over: when it is woken, and at the latest after a while."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from maintenancebot.daemon.troubles import Troubles
from maintenancebot.errors import MaintenanceError

_log = logging.getLogger(__name__)


class Pulse:
    """Calls `beat` again and again; an error of it is said once, and the next beat tries again."""

    def __init__(self, name: str, beat: Callable[[], None], seconds: float, troubles: Troubles) -> None:
        self._name, self._beat, self._seconds, self._troubles = name, beat, seconds, troubles
        self._wake = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin with a beat."""
        self._thread.start()

    def wake(self) -> None:
        """Beat now."""
        self._wake.set()

    def stop(self, seconds: float) -> bool:
        """No further beat; whether the last one ended in time."""
        self._is_over.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._wake.clear()
            self._once()
            # By the monotonic clock: a clock that is set back does not put the next beat off.
            self._wake.wait(self._seconds)

    def _once(self) -> None:
        try:
            self._beat()
        except MaintenanceError as error:
            self._troubles.set(self._name, str(error))
        except Exception as error:
            if self._name not in self._troubles.known():
                _log.exception("a fault of ours", extra={"action": "fault", "part": self._name})
            self._troubles.set(self._name, f"{type(error).__name__}: {error}")
        else:
            self._troubles.set(self._name, "")
