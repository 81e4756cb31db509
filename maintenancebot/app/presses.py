"""What a button pressed in Slack does: decides a plan by its digest, or records that a summary was read."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from maintenancebot.app.context import Context, now
from maintenancebot.app.scrubbing import scrubbed
from maintenancebot.delivery.slack_answer import Answer
from maintenancebot.errors import MaintenanceError, UsageError
from maintenancebot.policy.approvals import Approval
from maintenancebot.report.clean import clean
from maintenancebot.report.slack import APPROVE, DENY, REVIEWED, of_telling
from maintenancebot.store import Store

APPROVAL = "approval"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_WEEK = re.compile(r"[0-9]{4}-W[0-9]{2}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Press:
    """A button, and who pressed it; all of it comes from Slack, whose signature was checked."""

    action: str
    value: str
    user: str  # id, which nobody can choose
    name: str  # as the user calls himself
    message: str  # which message it stands below
    address: str  # where answers go

    @property
    def by(self) -> str:
        """Who did it, for records."""
        return f"{clean(self.name)} ({self.user} of Slack)"


def act(press: Press, context: Context, store: Store) -> Answer:
    """Do what the button says, if this person may; what cannot be is said to who pressed it."""
    facts = {"button": press.action, "by": press.by, "about": press.value[:64]}
    try:
        answer = _act(press, context, store)
    except MaintenanceError as error:
        _log.warning("a button was refused", extra={"action": "button_refused", "why": str(error), **facts})
        return Answer(f"{error}.")
    _log.info("a button was pressed", extra={"action": "button_pressed", **facts})
    return answer


def _act(press: Press, context: Context, store: Store) -> Answer:
    if press.action in (APPROVE, DENY):
        return _decide(press, context, store)
    if press.action == REVIEWED and _WEEK.fullmatch(press.value):
        is_new = store.reviews.record(press.value, press.by, at=now())
        words = f"{press.by} has reviewed the summary of {press.value}"
        # The channel is told once, however often it is pressed.
        return Answer(f"{words}.", thread=press.message) if is_new else Answer(f"{words} before.")
    raise UsageError(f"there is no button {clean(press.action)[:40]!r} here")


def _decide(press: Press, context: Context, store: Store) -> Answer:
    slack = context.settings.slack
    login = slack.approvers.get(press.user) if slack is not None else None
    if login is None:
        raise UsageError(f"{press.by} may not approve: `slack.approvers` does not name {press.user}")
    asked = store.approvals.get(press.value) if _DIGEST.fullmatch(press.value) else None
    if asked is None:
        raise UsageError("this plan is not known here any more")
    decided = store.approvals.decide(asked.digest, approve=press.action == APPROVE, by=login, at=now())
    return decision(decided, context, store)


def decision(approval: Approval, context: Context, store: Store) -> Answer:
    """The message again, with the decision in place of its buttons."""
    words = f"{approval.state.capitalize()} by {approval.decided_by} at {approval.decided_at:%Y-%m-%d %H:%M} UTC"
    for message in store.messages.latest(APPROVAL):
        if message.body.get("digest") == approval.digest:
            body = scrubbed(message.body, context.secrets.values)
            return Answer(words, of_telling(message.kind, body, words))
    return Answer(words)
