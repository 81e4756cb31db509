"""A plan that is decided by a command: the message that asks for it says so, in place of its buttons."""

from __future__ import annotations

import logging
import os

from maintenancebot.app.context import Context, Options, now
from maintenancebot.app.person import person
from maintenancebot.app.presses import APPROVAL, decision
from maintenancebot.app.targets import targets
from maintenancebot.delivery.slack_api import SlackApi
from maintenancebot.inventory import Inventory
from maintenancebot.policy.approvals import Approval
from maintenancebot.settings import load_settings
from maintenancebot.settings.secrets import load_secrets
from maintenancebot.store import Store
from maintenancebot.store.location import state_dir as locate_state

_log = logging.getLogger(__name__)


def decide(options: Options, digest: str, *, approve: bool) -> Approval:
    """Approve or deny the plan whose digest begins so; raises UsageError, PlanError or StoreError if that cannot be.

    That Slack cannot be told changes nothing of it.
    """
    # No inventory is read: whether its sources answer is nothing to this.
    state = locate_state(options.state_dir)
    context = Context(load_settings(options.config), Inventory(()), state, load_secrets(os.environ))
    with context.store() as store:
        decided = store.approvals.decide(digest, approve=approve, by=person(), at=now())
        for target in targets(context):
            if isinstance(target, SlackApi):
                _tell(target, decided, context, store)
    return decided


def _tell(slack: SlackApi, decided: Approval, context: Context, store: Store) -> None:
    where = store.deliveries.place(f"{APPROVAL}:{decided.digest}", slack.name)
    message = decision(decided, context, store).message
    problem = slack.replace(where, message) if where and message is not None else ""
    if problem:
        _log.warning("Slack was not told", extra={"action": "button_untold", "why": problem})
