"""Slack's answers, by what they mean for a message: the same for its API and for incoming webhooks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from urllib.error import URLError

from maintenancebot.delivery.parcel import REST_SECONDS, Attempt, Fate, Parcel
from maintenancebot.report.slack import Payload, of_telling, of_week
from maintenancebot.report.week import Week
from maintenancebot.report.week_json import week_from_json

SUMMARY = "summary"
"""The kind of message that is a week."""

SECONDS = 15
"""For each step of an exchange with Slack."""

MOST_WAIT = 3600.0
OK = 200
TOO_MANY = 429
AMBIGUOUS = (502, 504)
"""A gateway that heard nothing from what is behind it, which may have done it."""

MAYBE_DONE = frozenset({"internal_error", "fatal_error", "request_timeout"})
"""Slack says of these that part of it may have been done."""

MALFORMED = frozenset(
    {
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_payload",
        "invalid_arguments",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "metadata_too_large",
        "invalid_metadata_format",
        "invalid_metadata_schema",
    }
)
"""It is the message itself that Slack does not take."""

BUSY = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded", "service_unavailable"})

QUIET = logging.getLogger("slack_sdk")
QUIET.setLevel(logging.CRITICAL + 1)
"""What goes wrong is a value here; the library would log answers and addresses besides."""


def payloads(parcel: Parcel) -> list[Payload]:
    """The messages of a parcel: the first one, then those of its thread."""
    if parcel.kind == SUMMARY:
        return of_week(*week_and_prose(parcel))
    return [of_telling(parcel.kind, parcel.body)]


def week_and_prose(parcel: Parcel) -> tuple[Week, str]:
    """The facts of a summary, and what a model said of them."""
    prose = parcel.body.get("prose") or {}
    return week_from_json(parcel.body["facts"]), str(prose.get("text") or "")


def refusal(status: int, word: str, headers: Mapping[str, str]) -> Attempt:
    """What an answer means that is not yes."""
    if status == TOO_MANY or word in BUSY:
        return Attempt(Fate.LATER, f"Slack wants to be left alone: {word or status}", _wait(headers))
    if status in AMBIGUOUS or word in MAYBE_DONE:
        return Attempt(Fate.UNCLEAR, f"Slack failed: {word or status}")
    if status > TOO_MANY:
        return Attempt(Fate.LATER, f"Slack failed: {status}")
    if word in MALFORMED:
        return Attempt(Fate.REFUSED, f"Slack does not take it: {word}")
    return Attempt(Fate.LATER, f"Slack says no: {word or status}", REST_SECONDS)


def failure(error: Exception) -> Attempt:
    """What an exchange means that broke off: urllib wraps what goes wrong before all was sent, and nothing else."""
    if isinstance(error, URLError):
        return Attempt(Fate.LATER, f"Slack cannot be reached: {error.reason}")
    return Attempt(Fate.UNCLEAR, f"Slack did not answer whole: {type(error).__name__}: {error}")


def _wait(headers: Mapping[str, str]) -> float | None:
    told = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    return min(float(told), MOST_WAIT) if told.isascii() and told.isdigit() else None
