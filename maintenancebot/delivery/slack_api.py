"""Slack by a bot's token: a message, and a thread below it; what may be there already is looked for before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from maintenancebot.delivery.parcel import Attempt, Fate, Parcel
from maintenancebot.delivery.slack_words import OK, QUIET, SECONDS, failure, payloads, refusal
from maintenancebot.model import Json
from maintenancebot.report.slack import Payload

EVENT = "maintenancebot_message"
"""The type of the metadata by which our own messages are known again."""

SLACK = "https://slack.com/api/"
PAGE, PAGES = 200, 10
SKEW = timedelta(minutes=10)
"""Between our clock and Slack's."""

BLIND = frozenset(
    {
        "missing_scope",
        "not_in_channel",
        "channel_not_found",
        "no_permission",
        "access_denied",
        "not_allowed_token_type",
        "method_not_supported_for_channel_type",
    }
)
"""Slack's words to a bot that may post, and may not read."""

_ID = re.compile(r"[CDG][A-Z0-9]{6,}")
_WORD = re.compile(r"[a-z_]+")

Where = dict[str, Json]
"""`channel`: its id; `name`: as it is configured; `ts`: of the first message; `parts`: those that are there; `since`:
when the first of the tries was made that nobody could find out about."""


@dataclass(frozen=True)
class SlackApi:
    """A channel, told by a bot."""

    token: str
    channel: str
    base_url: str = SLACK
    name: str = "slack"

    def send(self, parcel: Parcel) -> Attempt:
        """Post what is not there yet; where that cannot be told of what may be there, nothing is posted."""
        where: Where = dict(parcel.reference)
        if parcel.tries:
            missed = self._find(parcel, where)
            if missed is not None and parcel.is_unclear:
                return replace(missed, reference={**where, "since": _since(parcel).isoformat()})
            where.pop("since", None)
        for number, payload in enumerate(payloads(parcel)):
            if number not in where.get("parts", ()):
                attempt = self._post(parcel, number, payload, where)
                if attempt.fate is not Fate.SENT:
                    return replace(attempt, reference=where)
        return Attempt(Fate.SENT, reference=where)

    def replace(self, where: Mapping[str, Json], payload: Payload) -> str:
        """Put this in the place of a first message that is there; returns what went wrong, for the log."""
        place = {"channel": where["channel"], "ts": where["ts"]}
        said = self._ask("chat.update", json={**place, **payload.to_json()})
        return said.detail if isinstance(said, Attempt) else ""

    def _post(self, parcel: Parcel, number: int, payload: Payload, where: Where) -> Attempt:
        """Post one message; one whose blocks Slack does not take goes as text alone."""
        message: dict[str, Json] = {
            "channel": where.get("channel") or self.channel,
            "unfurl_links": False,
            "unfurl_media": False,
            "metadata": {"event_type": EVENT, "event_payload": {"message": _mark(parcel), "part": number}},
            **({"thread_ts": where["ts"]} if "ts" in where else {}),
        }
        said = self._ask("chat.postMessage", json={**message, **payload.to_json()})
        if isinstance(said, Attempt) and said.fate is Fate.REFUSED:
            said = self._ask("chat.postMessage", json={**message, "text": payload.text})
        if isinstance(said, Attempt):
            return said
        if not isinstance(said.get("ts"), str):
            return Attempt(Fate.UNCLEAR, "Slack did not say where the message stands")
        _note(where, number, str(said["ts"]), str(said.get("channel") or self.channel), self.channel)
        return Attempt(Fate.SENT)

    def _find(self, parcel: Parcel, where: Where) -> Attempt | None:
        """Note which messages of the parcel are there; else why that cannot be told now, `lost` if it never can."""
        channel = self._channel_id(parcel, where)
        if channel is None:
            return Attempt(Fate.LOST, f"whether it arrived cannot be looked up in {self.channel}: its id is not known")
        since = _since(parcel) - SKEW
        asked = {"channel": channel, "oldest": f"{since.timestamp():.6f}", "limit": PAGE, "include_all_metadata": True}

        def note(method: str, **more: Json) -> Attempt | None:
            for message in self._pages(method, {**asked, **more}):
                if isinstance(message, Attempt):
                    return message
                _note_own(message, parcel, where, channel, self.channel)
            return None

        if "ts" not in where:
            missed = note("conversations.history")
            if missed is not None or "ts" not in where:
                return missed
        return note("conversations.replies", ts=where["ts"])

    def _channel_id(self, parcel: Parcel, where: Where) -> str | None:
        if _ID.fullmatch(self.channel):
            return self.channel
        for known in (where, parcel.known):
            if known.get("name") == self.channel:
                return str(known["channel"])
        return None

    def _pages(self, method: str, asked: Mapping[str, Json]) -> Iterator[Mapping[str, Json] | Attempt]:
        """Every message of some pages, or at the end an attempt that says why there are no more."""
        cursor: dict[str, Json] = {}
        for _ in range(PAGES):
            said = self._ask(method, params={**asked, **cursor})
            if isinstance(said, Attempt):
                yield _unseen(said)
                return
            yield from (one for one in said.get("messages") or () if isinstance(one, Mapping))
            cursor = {"cursor": (said.get("response_metadata") or {}).get("next_cursor")}
            if not cursor["cursor"]:
                return
        yield Attempt(Fate.LOST, "whether it arrived cannot be looked up: too much was written since")

    def _ask(self, method: str, *, json: Json = None, params: Json = None) -> Mapping[str, Json] | Attempt:
        from slack_sdk import WebClient
        from slack_sdk.errors import SlackApiError

        # Its own handlers would send again what may have arrived.
        client = WebClient(self.token, base_url=self.base_url, timeout=SECONDS, retry_handlers=[], logger=QUIET)
        try:
            said = client.api_call(method, json=json, params=params).data
        except SlackApiError as error:
            return _refused(error.response)
        except Exception as error:
            return failure(error)
        return said if isinstance(said, Mapping) else Attempt(Fate.UNCLEAR, "Slack did not answer in JSON")


def _mark(parcel: Parcel) -> str:
    """What tells this message from every other one, of another bot in the channel too."""
    return f"{parcel.key} {parcel.created_at.isoformat()}"


def _since(parcel: Parcel) -> datetime:
    """The first try that may have arrived: looks for it that failed are tries too, and came later."""
    last, first = parcel.tried_at or parcel.created_at, parcel.reference.get("since")
    return min(last, datetime.fromisoformat(first)) if first else last


def _note(where: Where, number: int, ts: str, channel: str, name: str) -> None:
    if number == 0:
        where.update(ts=ts)
    where.update(channel=channel, name=name, parts=sorted({*where.get("parts", ()), number}))


def _note_own(message: Mapping[str, Json], parcel: Parcel, where: Where, channel: str, name: str) -> None:
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    if metadata.get("event_type") == EVENT and payload.get("message") == _mark(parcel):
        _note(where, int(payload["part"]), str(message["ts"]), channel, name)


def _unseen(attempt: Attempt) -> Attempt:
    """What a look that failed means: it is tried again, or this token may never look."""
    if isinstance(attempt, _No) and attempt.word in BLIND:
        return Attempt(Fate.LOST, f"whether it arrived may not be looked up: {attempt.word}")
    return Attempt(Fate.UNCLEAR, f"whether it arrived could not be looked up: {attempt.detail}", attempt.wait)


@dataclass(frozen=True)
class _No(Attempt):
    word: str = ""  # Slack's own for it


def _refused(response: Any) -> Attempt:
    data = response.data if isinstance(response.data, Mapping) else {}
    word = str(data.get("error") or "")
    if not _WORD.fullmatch(word):
        word = ""
        if response.status_code == OK:
            return Attempt(Fate.UNCLEAR, "Slack did not answer in JSON")
    told = refusal(int(response.status_code), word, response.headers)
    return _No(told.fate, told.detail, told.wait, word=word)
