"""What Slack takes as a message: the limits of its reference, written down apart from the code that keeps to them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TEXT, MOST_BLOCKS, WHOLE = 4000, 50, 13_000
LIMITS = {"header": 150, "section": 3000, "field": 2000, "context": 3000, "button": 75}
SHAPES = {
    "header": {"type", "text", "block_id"},
    "section": {"type", "text", "fields", "block_id"},
    "context": {"type", "elements", "block_id"},
    "actions": {"type", "elements", "block_id"},
}


def faults(message: Mapping[str, Any]) -> list[str]:
    """What is wrong with a message as it is sent; nothing when Slack would take it."""
    return list(_faults(message))


def texts(message: Mapping[str, Any]) -> list[str]:
    """Every text that somebody sees."""
    return [message["text"], *(text["text"] for block in message["blocks"] for text in _texts(block))]


def _faults(message: Mapping[str, Any]) -> Iterator[str]:
    text, blocks = message["text"], message["blocks"]
    if not text.strip() or length(text) > TEXT:
        yield f"text has {length(text)} characters"
    if not 0 < len(blocks) <= MOST_BLOCKS:
        yield f"{len(blocks)} blocks"
    if length(json.dumps(list(blocks), ensure_ascii=False)) > WHOLE:
        yield "msg_blocks_too_long"
    if any(marked in one for one in texts(message) for marked in ("<", ">")):
        yield "a character of control is not escaped"
    if any(re.search(r"&(?!amp;|lt;|gt;)", one) for one in texts(message)):
        yield "an ampersand is not escaped"
    for block in blocks:
        yield from _block_faults(block)


def _block_faults(block: Mapping[str, Any]) -> Iterator[str]:
    kind = block["type"]
    if not set(block) <= SHAPES[kind]:
        yield f"{kind} has {sorted(block)}"
    yield from _count_faults(kind, "fields", block.get("fields"), 10)
    yield from _count_faults(kind, "elements", block.get("elements"), 25 if kind == "actions" else 10)
    if "text" in block:
        yield from _text_faults(kind, block["text"], LIMITS[kind], plain=kind == "header")
    for field in block.get("fields", ()):
        yield from _text_faults("field", field, LIMITS["field"])
    for element in block.get("elements", ()):
        if kind == "context":
            yield from _text_faults("context", element, LIMITS["context"])
        else:
            yield from _button_faults(element)


def _count_faults(kind: str, what: str, found: Sequence[Any] | None, most: int) -> Iterator[str]:
    if found is not None and not 0 < len(found) <= most:
        yield f"{kind} has {len(found)} {what}"


def _button_faults(button: Mapping[str, Any]) -> Iterator[str]:
    yield from _text_faults("button", button["text"], LIMITS["button"], plain=True)
    if not 0 < length(button["value"]) <= 2000 or not 0 < length(button["action_id"]) <= 255:
        yield "the button's value or name has no place"
    if button.get("style", "primary") not in ("primary", "danger"):
        yield "a button has no such style"
    for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        if "confirm" in button:
            yield from _text_faults(f"confirm {name}", button["confirm"][name], most, plain=True)


def _text_faults(where: str, text: Mapping[str, Any], most: int, *, plain: bool = False) -> Iterator[str]:
    if plain and text["type"] != "plain_text":
        yield f"{where} is not plain"
    if not text["text"].strip() or length(text["text"]) > most:
        yield f"{where} has {length(text['text'])} characters"
    if {"plain_text": "verbatim", "mrkdwn": "emoji"}[text["type"]] in text:
        yield f"{where} has a field of the other kind of text"
    try:
        text["text"].encode()
    except UnicodeEncodeError:
        yield f"{where} is no text"


def _texts(block: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if "text" in block:
        yield block["text"]
    yield from block.get("fields", ())
    for element in block.get("elements", ()):
        yield element["text"] if element["type"] == "button" else element


def length(text: str) -> int:
    """In UTF-16, as a browser counts."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
