"""A parcel as a letter: a summary as its text and its page, all else in the words that stand in Slack."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.delivery.parcel import Parcel
from maintenancebot.delivery.slack_words import SUMMARY, payloads, week_and_prose
from maintenancebot.model import Json
from maintenancebot.report import week_text
from maintenancebot.report.clean import clean
from maintenancebot.report.week import Week

LONGEST_SUBJECT = 200


@dataclass(frozen=True)
class Letter:
    """What a person reads outside of Slack."""

    subject: str  # one line
    text: str
    page: str = ""  # the same as HTML
    page_name: str = ""


def letter(parcel: Parcel, bot: str) -> Letter:
    """The parcel in words, from a bot of this name."""
    if parcel.kind == SUMMARY:
        return _of_week(*week_and_prose(parcel))
    (payload,) = payloads(parcel)
    texts = list(_texts(payload.blocks))
    return Letter(_subject(f"[{bot}] {texts[0] if texts else parcel.kind}"), "\n\n".join(texts) + "\n")


def _of_week(week: Week, prose: str) -> Letter:
    from maintenancebot.report.html import week_page

    subject = _subject(clean(f"[{week.name}] {week.week}: {week.headline}"))
    return Letter(subject, week_text.text(week, prose), week_page(week, prose), f"summary-{week.week}.html")


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


def _subject(text: str) -> str:
    """The text, in which nothing is an encoded word: what such a one hides would become lines of the header."""
    text = text.replace("=?", "=\\x3f")
    return text if len(text) <= LONGEST_SUBJECT else f"{text[: LONGEST_SUBJECT - 1]}…"
