"""What of our facts the model may see: no secret, no control character, no way out of the fence, and not too much."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.model import Json
from maintenancebot.redaction import MASK, redacted

LEFT_OUT = "[... {} left out ...]"
LOOKED_AT = 20_000
"""Letters of a text that are looked at; far more than is ever shown, so that no secret is cut in two and shown."""


@dataclass(frozen=True)
class _Size:
    """How much is shown of each text and of each list."""

    letters: int
    rows: int


_SIZES = tuple(_Size(*size) for size in ((400, 60), (300, 40), (200, 25), (160, 15), (120, 8), (80, 4)))


def fenced(facts: Json, room: int, known: Iterable[str] = ()) -> str:
    """The facts as data between two marks that they cannot contain, in at most `room` bytes; "" if that is too few."""
    secrets = tuple(known)
    for size in _SIZES:
        text = json.dumps(_shown(facts, size, secrets), ensure_ascii=False, separators=(",", ":"))
        # No tag can stand in it, and so not the one that ends it.
        text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("`", "\\u0060")
        mark = f"data-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        whole = f"<{mark}>\n{text}\n</{mark}>"
        if len(whole.encode()) <= room:
            return whole
    return ""


def harmless(text: str, letters: int, known: Iterable[str] = ()) -> str:
    """One line of a text, without secrets and without what is not to be seen, and not longer than this and a mark."""
    return shortened(stripped(redacted(shortened(text, LOOKED_AT), known)), letters)


def shortened(text: str, letters: int) -> str:
    """Head and tail of a text that is too long, with a mark between them."""
    if len(text) <= letters:
        return text
    head = letters * 2 // 3
    return text[:head] + LEFT_OUT.format(f"{len(text) - letters} letters") + text[len(text) - (letters - head) :]


def stripped(text: str) -> str:
    """One line without control characters, bytes that are no text, and marks of direction."""
    visible = (" " if letter.isspace() else letter for letter in text if letter.isspace() or not _is_hidden(letter))
    return " ".join("".join(visible).split())


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn")


def _shown(facts: Json, size: _Size, known: Sequence[str]) -> Json:
    if isinstance(facts, str):
        return harmless(facts, size.letters, known)
    if isinstance(facts, Mapping):
        rows = [(harmless(str(name), size.letters, known), name, value) for name, value in facts.items()]
        kept = _ends(rows, size.rows, ("more", "", LEFT_OUT.format("some")))
        return {shown: MASK if _is_secret(name, value) else _shown(value, size, known) for shown, name, value in kept}
    if isinstance(facts, list | tuple):
        mark = LEFT_OUT.format(f"{len(facts) - size.rows} rows")
        return [_shown(one, size, known) for one in _ends(facts, size.rows, mark)]
    return facts


def _is_secret(name: str, value: Json) -> bool:
    """Whether the name alone says that the text beside it is a secret."""
    told = f"{name}: {str(value)[:200]}"
    return isinstance(value, str) and bool(value) and redacted(told).endswith(f"{name}: {MASK}")


def _ends(rows: Sequence[Json], most: int, mark: Json) -> list[Json]:
    """The first rows and the last ones; the worst comes first in our lists, so most are of the head."""
    if len(rows) <= most:
        return list(rows)
    head = most * 3 // 4
    return [*rows[:head], mark, *rows[len(rows) - (most - head) :]]
