"""Secrets in text, replaced before anything is stored, sent or shown: the same rules on a host and here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import quote

from maintenancebot.helper import redact as rules

MASK: str = rules.MASK
_redact: Callable[[str], str] = rules.redact

SHORTEST = 6
"""A known secret that is shorter would blacken innocent words."""


def redacted(text: str, known: Iterable[str] = ()) -> str:
    """The text with every secret that is known, or that looks like one, replaced."""
    for form in _all_forms(tuple(known)):
        text = text.replace(form, MASK)
    return _redact(text)


@lru_cache(maxsize=8)
def _all_forms(known: tuple[str, ...]) -> tuple[str, ...]:
    """The longest first: one secret may be a part of another."""
    forms = {form for secret in known if len(secret) >= SHORTEST for form in _forms(secret)}
    return tuple(sorted(forms, key=len, reverse=True))


def _forms(secret: str) -> tuple[str, ...]:
    """A secret as it is, and as it stands in an address, in JSON and in what repr shows."""
    return secret, quote(secret, safe="", errors="replace"), json.dumps(secret)[1:-1], repr(secret)[1:-1]
