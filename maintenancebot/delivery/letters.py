"""A parcel as plain text: the same words that stand in Slack, without its markup."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.delivery.parcel import Parcel
from maintenancebot.delivery.slack_words import payloads
from maintenancebot.model import Json

LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class Letter:
    """What a person reads outside of Slack."""

    subject: str  # one line
    text: str


def letter(parcel: Parcel, bot: str) -> Letter:
    """The parcel in words, from a bot of this name."""
    parts = [list(_texts(payload.blocks)) for payload in payloads(parcel)]
    subject = f"[{bot}] {parts[0][0] if parts[0] else parcel.kind}"
    return Letter(_short(subject), "\n\n\n".join("\n\n".join(texts) for texts in parts) + "\n")


def _texts(blocks: Sequence[Mapping[str, Json]]) -> Iterator[str]:
    """Everything in blocks that is text; buttons cannot be pressed elsewhere."""
    for block in blocks:
        if "text" in block:
            yield _words(block["text"])
        cells = [_words(one) for key in ("fields", "elements") for one in block.get(key, ()) if _is_text(one)]
        if cells:
            yield "\n".join(cells)


def _is_text(element: Mapping[str, Json]) -> bool:
    return element.get("type") in ("plain_text", "mrkdwn")


def _words(text: Mapping[str, Json]) -> str:
    told = str(text["text"])
    return html.unescape(told.strip("*") if text["type"] == "mrkdwn" else told)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SUBJECT else f"{text[: LONGEST_SUBJECT - 1]}…"
