"""Blocks as Slack takes them: every text escaped and made visible, every part and the whole within Slack's limits.

What comes from hosts stands in `plain_text` only, where no character is markup.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.model import Json, State
from maintenancebot.report.clean import clean

Block = Mapping[str, Json]

BLOCKS = 50
TEXT = 3000
HEADER = 150
FIELD = 2000
FIELDS = 10
VALUE = 2000
BUTTON = 75
CONFIRM = 300

WHOLE = 12_000
"""Of all blocks as JSON. Slack's own sum is not documented; it was seen to refuse from about 12,000 characters on."""

FALLBACK = 3000
"""Of the text beside the blocks, which notifications show; above 4,000 Slack splits or refuses it."""

APPROVE, DENY, REVIEWED = "approve", "deny", "reviewed"
"""What the buttons are called in Slack's answer."""

SYMBOLS: Mapping[State, str] = {
    State.PLANNED: "🔵",
    State.DONE: "🟢",
    State.NOTHING: "⚪",
    State.SKIPPED: "🟠",
    State.WAITING: "🟡",
    State.FAILED: "🔴",
    State.UNKNOWN: "🟣",
}
"""Beside the word, never instead of it."""


@dataclass(frozen=True)
class Payload:
    """One message: `blocks` are shown, `text` is what notifications and readers without blocks get."""

    text: str
    blocks: tuple[Block, ...]

    def to_json(self) -> dict[str, Json]:
        """The message as Slack's API and an incoming webhook take it."""
        return {"text": self.text, "blocks": [dict(block) for block in self.blocks]}


class Draft:
    """A message in the making: what would break a limit of the whole is not taken, so what comes out is valid."""

    def __init__(self) -> None:
        self._blocks: list[Block] = []

    def add(self, *blocks: Block, keep: Sequence[Block] = ()) -> bool:
        """Take all of these, or none when they and what is to `keep` its place do not fit."""
        if not _is_within([*self._blocks, *blocks, *keep]):
            return False
        self._blocks += blocks
        return True

    def add_lines(self, texts: Sequence[str], *, keep: Sequence[Block] = ()) -> int:
        """Take as many of the first lines as fit, say how many are left off, and return how many were taken."""
        fitting = [fit(text, TEXT) for text in texts]
        taken = len(texts)
        if not self._takes(fitting, taken, keep):
            taken = bisect_right(range(1, taken), False, key=lambda count: not self._takes(fitting, count, keep))
        self._blocks += _sections(_first(fitting, taken)) if taken else []
        return taken

    def payload(self, text: str) -> Payload:
        """The message, with the text for notifications."""
        return Payload(fit(text, FALLBACK), tuple(self._blocks))

    def _takes(self, texts: Sequence[str], count: int, keep: Sequence[Block]) -> bool:
        return _is_within([*self._blocks, *_sections(_first(texts, count)), *keep])


def fit(text: str, limit: int) -> str:
    """The text escaped for Slack, not longer than the limit as sent, never empty; what is cut off leaves a mark."""
    visible = clean(text[: limit + 1])  # no character becomes shorter
    escaped = "".join(_ESCAPES.get(character, character) for character in visible)
    if _length(escaped) <= limit:
        return escaped.strip() or "-"  # of nothing but blanks Slack would say that it is empty
    return _cut(visible, limit - 1) + "…"


def _cut(visible: str, room: int) -> str:
    """As many of the first characters as fit when they are escaped."""
    kept = []
    for character in visible:
        piece = _ESCAPES.get(character, character)
        room -= _length(piece)
        if room < 0:
            break
        kept.append(piece)
    return "".join(kept)


def header(text: str) -> Block:
    """A headline."""
    return {"type": "header", "text": _plain(fit(text, HEADER))}


def said(text: str) -> Block:
    """A paragraph that may hold text from hosts."""
    return {"type": "section", "text": _plain(fit(text, TEXT))}


def heading(words: str) -> Block:
    """A heading in words of our own: bold, so nothing from hosts may be in it."""
    return {"type": "section", "text": _own(f"*{fit(words, TEXT - 2)}*")}


def context(text: str) -> Block:
    """A small line; it may hold text from hosts."""
    return {"type": "context", "elements": [_plain(fit(text, TEXT))]}


def fields(texts: Iterable[str]) -> list[Block]:
    """Short texts in two columns; a section for every ten."""
    cells = [_plain(fit(text, FIELD)) for text in texts]
    return [{"type": "section", "fields": cells[at : at + FIELDS]} for at in range(0, len(cells), FIELDS)]


def lines(texts: Iterable[str]) -> list[Block]:
    """Lines that may hold text from hosts, as many to a section as it takes."""
    return _sections([fit(text, TEXT) for text in texts])


def buttons(*elements: Block) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": list(elements)}


def button(action: str, label: str, value: str, *, style: str = "", confirm: str = "") -> Block:
    """A button; with `confirm` Slack asks once more before it sends the answer."""
    element = {"type": "button", "action_id": action, "text": _plain(fit(label, BUTTON)), "value": fit(value, VALUE)}
    if confirm:
        texts = {"title": "Are you sure?", "text": fit(confirm, CONFIRM), "confirm": label, "deny": "Cancel"}
        element["confirm"] = {name: _plain(text) for name, text in texts.items()}
    return {**element, "style": style} if style else element


def _sections(fitting: Iterable[str]) -> list[Block]:
    sections: list[str] = []
    for line in fitting:
        if sections and _length(sections[-1]) + 1 + _length(line) <= TEXT:
            sections[-1] += f"\n{line}"
        else:
            sections.append(line)
    return [{"type": "section", "text": _plain(section)} for section in sections]


def _first(texts: Sequence[str], count: int) -> list[str]:
    more = len(texts) - count
    return [*texts[:count], *([f"… and {more:,} more"] if more else [])]


def _is_within(blocks: Sequence[Block]) -> bool:
    return len(blocks) <= BLOCKS and _length(json.dumps(blocks, ensure_ascii=False)) <= WHOLE


def _plain(text: str) -> dict[str, Json]:
    return {"type": "plain_text", "text": text, "emoji": False}


def _own(text: str) -> dict[str, Json]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _length(text: str) -> int:
    """As Slack may count at worst: in UTF-16."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
