"""What Slack is told after a button was pressed: the message in its new form, or words for who pressed it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from maintenancebot.delivery.slack_words import OK, QUIET, SECONDS
from maintenancebot.report.slack import Payload

HOOKS = "https://hooks.slack.com"
LONGEST = 3000


@dataclass(frozen=True)
class Answer:
    """Words, and the message that takes the place of the one with the button."""

    text: str
    message: Payload | None = None
    thread: str = ""  # the message below which everybody sees the words; else only who pressed sees them


def is_slacks(address: str, base_url: str | None) -> bool:
    """Whether an address for answers is one of Slack's own, or of the API that is configured in its place."""
    return _origin(address) in {HOOKS, _origin(base_url or HOOKS)}


def send(address: str, answer: Answer) -> str:
    """Send it; returns what went wrong, for the log. What was decided stands anyway."""
    from slack_sdk.webhook import WebhookClient

    try:
        said = WebhookClient(address, timeout=SECONDS, retry_handlers=[], logger=QUIET).send_dict(_body(answer))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "" if said.status_code == OK else f"Slack answered {said.status_code}"


def _body(answer: Answer) -> dict[str, object]:
    if answer.message is not None:
        return {"replace_original": True, **answer.message.to_json()}
    text = answer.text[:LONGEST].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if answer.thread:
        return {"response_type": "in_channel", "replace_original": False, "thread_ts": answer.thread, "text": text}
    return {"response_type": "ephemeral", "replace_original": False, "text": text}


def _origin(address: str) -> str:
    try:
        parts = urlsplit(address)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.netloc}"
