"""Tells people what is to be told. There is one target yet: the log, where each message is one line, once."""

from __future__ import annotations

import logging
import threading

from maintenancebot.app.context import now
from maintenancebot.engine.tellings import HEALED
from maintenancebot.store import Store

AT_ONCE = 100

_ONE_AT_A_TIME = threading.Lock()
"""So that two threads do not tell the same thing; what was told right before the end of a process may be told again."""

_log = logging.getLogger(__name__)


def deliver(store: Store) -> None:
    """Send what is due; raises StoreError."""
    at = now()
    with _ONE_AT_A_TIME:
        for message in store.messages.due(at, AT_ONCE):
            level = logging.INFO if message.kind == HEALED else logging.WARNING
            _log.log(level, "a person is told", extra={"action": message.kind, **dict(message.body)})
            store.messages.sent(message.id, at)
