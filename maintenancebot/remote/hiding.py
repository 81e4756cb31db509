"""What programs on a host said may hold a secret: it is replaced where it comes in, before anything keeps it."""

from __future__ import annotations

from maintenancebot.model import Json
from maintenancebot.redaction import redacted

WORDS = frozenset({"detail", "error", "why", "problems", "note", "notes"})
"""Where an answer repeats the words of a program. Names of files and objects stay as they are: they are acted upon."""


def without_secrets(payload: dict[str, Json]) -> dict[str, Json]:
    """The payload of a frame, changed in its place."""
    _hide(payload)
    return payload


def _hide(value: Json) -> None:
    if isinstance(value, dict):
        for name, one in value.items():
            if name in WORDS and isinstance(one, list):
                value[name] = [redacted(text) if isinstance(text, str) else text for text in one]
            elif name in WORDS and isinstance(one, str) and one:
                value[name] = redacted(one)
            _hide(value[name])
    elif isinstance(value, list):
        for one in value:
            _hide(one)
