"""A message without secrets: every text in it, keys too, before it goes anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from maintenancebot.model import Json
from maintenancebot.redaction import redacted

DIGESTS = frozenset({"digest"})
"""Keys whose value is a plan's digest, by which a button approves; it is random to look at, and no secret."""

_DIGEST = re.compile("[0-9a-f]{64}")


def scrubbed(value: Json, known: Sequence[str]) -> Json:
    """The value with every secret replaced that is known, or that looks like one."""
    if isinstance(value, str):
        return redacted(value, known)
    if isinstance(value, Mapping):
        return {redacted(key, known): _of(key, one, known) for key, one in value.items()}
    return [scrubbed(one, known) for one in value] if isinstance(value, list | tuple) else value


def _of(key: str, value: Json, known: Sequence[str]) -> Json:
    is_digest = key in DIGESTS and isinstance(value, str) and _DIGEST.fullmatch(value)
    return value if is_digest else scrubbed(value, known)
