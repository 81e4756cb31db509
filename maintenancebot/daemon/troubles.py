"""What is wrong for longer is said once when it begins and once when it is over, not at every look."""

from __future__ import annotations

import logging
import threading

_log = logging.getLogger(__name__)


class Troubles:
    """The troubles that are known, by what they are about."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, str] = {}

    def set(self, about: str, words: str) -> None:
        """How it is with something now; without words it is well."""
        with self._lock:
            before = about in self._known
            self._known.pop(about, None)
            if words:
                self._known[about] = words
        if words and not before:
            _log.error("something is wrong", extra={"action": "trouble", "about": about, "detail": words})
        if before and not words:
            _log.warning("something is well again", extra={"action": "trouble_over", "about": about})

    def known(self) -> dict[str, str]:
        """What is wrong now."""
        with self._lock:
            return dict(self._known)
