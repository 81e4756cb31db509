"""Slack by an incoming webhook: one message, without a thread. Nobody can look whether it is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from maintenancebot.delivery.parcel import Attempt, Fate, Parcel
from maintenancebot.delivery.slack_words import OK, QUIET, SECONDS, failure, payloads, refusal
from maintenancebot.model import Json


@dataclass(frozen=True)
class SlackWebhook:
    """The channel of an incoming webhook."""

    url: str
    name: str = "slack"

    def send(self, parcel: Parcel) -> Attempt:
        """Post the first message; what may be there already is not posted again."""
        if parcel.is_unclear:
            return Attempt(Fate.LOST, "whether it arrived cannot be looked up by a webhook")
        message = payloads(parcel)[0].to_json()
        attempt = self._post(message)
        if attempt.fate is Fate.REFUSED:
            attempt = self._post({"text": message["text"]})
        return replace(attempt, fate=Fate.LOST) if attempt.fate is Fate.UNCLEAR else attempt

    def _post(self, message: Mapping[str, Json]) -> Attempt:
        from slack_sdk.webhook import WebhookClient

        client = WebhookClient(self.url, timeout=SECONDS, retry_handlers=[], logger=QUIET)
        try:
            answer = client.send_dict(dict(message))
        except Exception as error:
            return failure(error)
        word = answer.body.strip()
        if answer.status_code == OK:
            return Attempt(Fate.SENT) if word == "ok" else Attempt(Fate.UNCLEAR, "Slack did not answer with ok")
        is_word = len(word) < 60 and word.replace("_", "").isalpha()
        return refusal(answer.status_code, word if is_word else "", answer.headers)
