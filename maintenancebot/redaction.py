"""Secrets in text, replaced before anything is stored, sent or shown: the same rules on a host and here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from maintenancebot.helper import redact as rules

MASK: str = rules.MASK
_redact: Callable[[str], str] = rules.redact


def redacted(text: str, known: Sequence[str] = ()) -> str:
    """The text with every secret that is known, or that looks like one, replaced."""
    for secret in sorted(known, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            text = text.replace(secret, MASK)
    return _redact(text)


SHORTEST = 6
"""A known secret that is shorter would blacken innocent words."""
