"""What systemd is told: ready, reloading, stopping, what is being done, and that the daemon gets on."""

from __future__ import annotations

import os
import time
from collections.abc import MutableMapping

import sdnotify

SOCKET = "NOTIFY_SOCKET"
INTERVAL = "WATCHDOG_USEC"
PROCESS = "WATCHDOG_PID"
SHORTEST_SECONDS = 0.05


class Systemd:
    """Says nothing where nobody listens; takes the socket out of the environment, so that no child speaks for us."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._notifier = sdnotify.SystemdNotifier()  # reads the environment
        for_us = environ.get(PROCESS, str(os.getpid())) == str(os.getpid())
        micros = environ.get(INTERVAL, "") if for_us else ""
        self.watchdog_seconds = int(micros) / 1e6 if micros.isdecimal() and int(micros) else None
        for name in (SOCKET, INTERVAL, PROCESS):
            environ.pop(name, None)

    @property
    def pace(self) -> float | None:
        """How often the watchdog is to be fed, in seconds; None without one."""
        return None if self.watchdog_seconds is None else max(SHORTEST_SECONDS, self.watchdog_seconds / 3)

    def ready(self, status: str) -> None:
        """Start or reload is over."""
        self._tell("READY=1", _status(status))

    def status(self, status: str) -> None:
        """What is being done, a line for `systemctl status`."""
        self._tell(_status(status))

    def reloading(self) -> None:
        """A reload begins."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        """The end begins."""
        self._tell("STOPPING=1", _status(status))

    def feed(self) -> None:
        """The daemon gets on; called from `Vitals` alone."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        self._notifier.notify("\n".join(lines))


def _status(words: str) -> str:
    """One line of ASCII: sdnotify sends latin-1."""
    return "STATUS=" + "".join(char if char.isprintable() else "?" for char in words).encode("ascii", "replace").decode(
        "ascii"
    )
