"""The dead man's switch: an address that is asked for while all is well, so that somebody notices when it is not."""

from __future__ import annotations

import logging
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import date
from http.client import HTTPException

SECONDS = 10
RETRY_SECONDS = 600.0
"""After a failure: one lost packet is no dead daemon."""

_log = logging.getLogger(__name__)


class DeadMan:
    """Asks for the address in a thread of its own: nobody waits for it, and its failure is told and harms nobody."""

    def __init__(self, url: Callable[[], str | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._url, self._clock = url, clock
        self._day: date | None = None  # that was told last
        self._next = 0.0
        self._busy = threading.Lock()

    def after_cycle(self) -> None:
        """A cycle went well."""
        self._ask("cycle")

    def each_day(self, today: date, *, is_well: Callable[[], bool]) -> None:
        """Once on each day on which all is well; asked again until it is, and until it was told."""
        if self._url() and self._day != today and self._clock() >= self._next and is_well():
            self._ask("day", today)

    def _ask(self, occasion: str, day: date | None = None) -> None:
        url = self._url()
        if url and self._busy.acquire(blocking=False):
            threading.Thread(target=self._get, args=(url, occasion, day), name="dead-man", daemon=True).start()

    def _get(self, url: str, occasion: str, day: date | None) -> None:
        try:
            with urllib.request.urlopen(url, timeout=SECONDS):  # noqa: S310  http and https alone, see settings
                self._day = day or self._day
                _log.info("the dead man's switch was told", extra={"action": "dead_man", "occasion": occasion})
        except (OSError, ValueError, HTTPException) as error:
            self._next = self._clock() + RETRY_SECONDS
            # Not the address: it is often a secret, and some of http.client's errors show it.
            more = "" if isinstance(error, HTTPException) else f": {getattr(error, 'reason', error)}"
            why = f"{type(error).__name__}{more}"
            facts = {"action": "dead_man_failed", "occasion": occasion, "why": why}
            _log.warning("the dead man's switch could not be told", extra=facts)
        finally:
            self._busy.release()
