"""The two forms in which alerts are sent, read into bounded plain data: nothing of them is ever run or opened."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from maintenancebot.policy.episodes import FIRING
from maintenancebot.store import Received

VERSION = "4"
MOST_LABELS = 64
MOST_NAME = 200
MOST_VALUE = 4096  # as long as a path can be

RESOLVED = "resolved"
STATUSES = (FIRING, RESOLVED)

GENERIC_KEYS = frozenset({"name", "host", "mount", "status", "starts_at", "labels"})


class FormError(ValueError):
    """A message that cannot be read; its text is for the sender."""


@dataclass(frozen=True)
class Message:
    """What a message holds."""

    alerts: tuple[Received, ...]
    unreadable: int = 0  # alerts of it that could not be read
    truncated: int = 0  # alerts that the sender left out


def alertmanager(document: Any, at: datetime) -> Message:
    """The alerts of an Alertmanager's message; raises FormError for another version and when none can be read."""
    if not isinstance(document, Mapping):
        raise FormError("the message is no JSON object")
    if document.get("version") != VERSION:
        raise FormError(f'this is not version "{VERSION}" of Alertmanager\'s webhook; use Alertmanager 0.16 or newer')
    truncated = document.get("truncatedAlerts", 0)
    truncated = truncated if isinstance(truncated, int) and truncated > 0 else 0
    more = {"truncated": truncated} if truncated else {}
    alerts = _list(document.get("alerts"))
    read = [one for one in (_from_alertmanager(alert, more, at) for alert in alerts) if one is not None]
    if alerts and not read:
        raise FormError("no alert of this message can be read")
    return Message(tuple(read), len(alerts) - len(read), truncated)


def generic(document: Any, at: datetime) -> Message:
    """The alerts of our own small form; raises FormError with the first fault, and then none of them counts."""
    if not isinstance(document, Mapping) or set(document) != {"alerts"}:
        raise FormError('the message must be {"alerts": [...]}')
    alerts = _list(document["alerts"])
    return Message(tuple(_from_generic(number, alert, at) for number, alert in enumerate(alerts, 1)))


def _list(alerts: Any) -> Sequence[Any]:
    if not isinstance(alerts, list):
        raise FormError("`alerts` must be a list")
    return alerts


def _from_alertmanager(alert: Any, more: Mapping[str, Any], at: datetime) -> Received | None:
    try:
        told, starts = alert["labels"], moment(alert["startsAt"])
        labels, left_out = bounded(told)
        name, status = labels["alertname"], alert["status"]
        fingerprint = alert.get("fingerprint") or _digest(labels)
        if status not in STATUSES or not isinstance(fingerprint, str):
            return None
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    more = {**more, "left_out": left_out} if left_out else more
    key = _digest({"source": "alertmanager", "fingerprint": fingerprint, "starts_at": starts})
    return Received(key, "alertmanager", name[:MOST_NAME], status, labels, at, {**more, "starts_at": starts})


def _from_generic(number: int, alert: Any, at: datetime) -> Received:
    """One alert of our own form; raises FormError with its number."""
    if not isinstance(alert, Mapping) or not set(alert) <= GENERIC_KEYS:
        raise FormError(f"alert {number} must be an object with the keys {', '.join(sorted(GENERIC_KEYS))} at the most")
    texts = {key: alert[key] for key in ("name", "host", "mount") if key in alert}
    if not {"name", "host"} <= set(texts) or not all(isinstance(text, str) and text for text in texts.values()):
        raise FormError(f"alert {number}: `name` and `host` must be texts, and so must `mount` if it is given")
    if len(texts["name"]) > MOST_NAME or alert.get("status", FIRING) not in STATUSES:
        raise FormError(f"alert {number}: `name` has at most {MOST_NAME} characters, `status` is firing or resolved")
    try:
        # Who does not say when it began means the same alert for an hour; beyond that the cooldown holds.
        starts = moment(alert["starts_at"]) if "starts_at" in alert else f"{at:%Y-%m-%dT%H}"
        labels, left_out = bounded(alert.get("labels", {}))
    except (TypeError, ValueError) as error:
        raise FormError(f"alert {number}: `starts_at` must be a time with its zone, `labels` texts by name") from error
    more = {"starts_at": starts, **({"left_out": left_out} if left_out else {})}
    key = _digest({**labels, **{f"={name}": text for name, text in texts.items()}, "=source": "generic", "=at": starts})
    named = {"host": texts["host"], **({"mountpoint": texts["mount"]} if "mount" in texts else {})}
    return Received(key, "generic", texts["name"], alert.get("status", FIRING), {**labels, **named}, at, more)


def bounded(labels: Any) -> tuple[dict[str, str], int]:
    """The labels that are short enough, and how many are not: cut off, one would name something else.

    Raises TypeError when they are no texts by name.
    """
    if not isinstance(labels, Mapping) or not all(isinstance(value, str) for value in labels.values()):
        raise TypeError("labels are texts by name")
    short = {key: value for key, value in labels.items() if len(key) <= MOST_NAME and len(value) <= MOST_VALUE}
    kept = dict(sorted(short.items())[:MOST_LABELS]) if len(short) > MOST_LABELS else short
    return kept, len(labels) - len(kept)


def moment(text: Any) -> str:
    """An instant in one form, whatever zone it was written in; raises TypeError or ValueError."""
    if not isinstance(text, str):
        raise TypeError("a time is a text")
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError("a time needs a zone")
    try:
        return when.astimezone(UTC).isoformat()
    except OverflowError as error:
        raise ValueError("a time outside of all calendars") from error


def _digest(parts: Mapping[str, str]) -> str:
    """The same for the same texts by name, in whatever order they came."""
    digest = hashlib.sha256()
    for text in (text for pair in sorted(parts.items()) for text in pair):
        data = text.encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(data) + data)
    return digest.hexdigest()
