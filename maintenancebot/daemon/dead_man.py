"""The dead man's switch: an address that is asked for while all is well, so that somebody notices when it is not."""

from __future__ import annotations

import logging
import threading
import urllib.request
from collections.abc import Callable
from datetime import date

SECONDS = 10

_log = logging.getLogger(__name__)


class DeadMan:
    """Asks for the address in a thread of its own: nobody waits for it, and its failure is told and harms nobody."""

    def __init__(self, url: Callable[[], str | None]) -> None:
        self._url = url
        self._day: date | None = None
        self._busy = threading.Lock()

    def after_cycle(self) -> None:
        """A cycle went well."""
        self._ask("cycle")

    def each_day(self, today: date, *, is_well: Callable[[], bool]) -> None:
        """Once on each day on which all is well; asked again until it is."""
        if self._url() and self._day != today and is_well():
            self._day = today
            self._ask("day")

    def _ask(self, occasion: str) -> None:
        url = self._url()
        if url and self._busy.acquire(blocking=False):
            threading.Thread(target=self._get, args=(url, occasion), name="dead-man", daemon=True).start()

    def _get(self, url: str, occasion: str) -> None:
        try:
            with urllib.request.urlopen(url, timeout=SECONDS):  # noqa: S310  http and https alone, see settings
                _log.info("the dead man's switch was told", extra={"action": "dead_man", "occasion": occasion})
        except (OSError, ValueError) as error:
            # Not the address: it is often a secret.
            why = f"{type(error).__name__}: {getattr(error, 'reason', error)}"
            facts = {"action": "dead_man_failed", "occasion": occasion, "why": why}
            _log.warning("the dead man's switch could not be told", extra=facts)
        finally:
            self._busy.release()
