"""Ctrl-C once ends after the change in hand, twice at once; SIGTERM is a Ctrl-C that is never the second one."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = b"\nmaintenancebot: ending after the change in hand; Ctrl-C again ends at once\n"
AT_ONCE = b"\nmaintenancebot: ended at once; the next start looks up what was unfinished\n"
SHOW_CURSOR = b"\x1b[?25h"
"""The progress bar hides the cursor; nobody else brings it back when the process ends at once."""
ENDED_BY_INTERRUPT = 130


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; a SIGINT after that ends the process."""
    stop = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if not stop.is_set():
            stop.set()
            _say(ENDING)
        elif number == signal.SIGINT:
            _say((SHOW_CURSOR if os.isatty(2) else b"") + AT_ONCE)
            # Not sys.exit: it would wait for the threads that are at work on hosts. Intents are on disk already.
            os._exit(ENDED_BY_INTERRUPT)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _say(text: bytes) -> None:
    # A handler may interrupt a write to sys.stderr, which is not reentrant; the descriptor is.
    with contextlib.suppress(OSError):
        os.write(2, text)
