"""Tells people what is to be told: each message goes to each target once, and waits in the state until it went.

Each target has a thread of its own and is told of by its own rows: one that hangs or rests holds up no other one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from maintenancebot.app.context import Context, now
from maintenancebot.app.scrubbing import scrubbed
from maintenancebot.app.targets import targets
from maintenancebot.delivery.log import Log
from maintenancebot.delivery.parcel import Attempt, Fate, Parcel, Target
from maintenancebot.errors import StoreError
from maintenancebot.store import Store
from maintenancebot.store.deliveries import Delivery, DeliveryState

AT_ONCE = 100
"""Messages for one target in one go."""

SECONDS = 10.0
"""How long the end of a command waits for its messages; what was not sent by then waits in the state."""

FIRST_PAUSE, LONGEST_PAUSE = 15.0, 1800.0
"""Seconds between two tries; doubled each time."""

KEEP = timedelta(days=3)
"""After that a message that no try brought there is given up: it stands in the log."""

STATES = {
    Fate.SENT: DeliveryState.SENT,
    Fate.LATER: DeliveryState.WAITING,
    Fate.UNCLEAR: DeliveryState.UNCLEAR,
    Fate.LOST: DeliveryState.LOST,
    Fate.REFUSED: DeliveryState.GIVEN_UP,
}

_busy: set[str] = set()
_busy_lock = threading.Lock()

_log = logging.getLogger(__name__)


def deliver(context: Context, store: Store, *, seconds: float = SECONDS, logs: bool = False) -> dict[str, str]:
    """Send what is due, and wait for that at most so long; returns why which targets are held up. Raises StoreError.

    The log is the daemon's: a command says what it did by itself.
    """
    told = [target for target in targets(context) if logs or target.name != Log.name]
    troubles: dict[str, str] = {}
    threads = [
        threading.Thread(
            target=_send_all, args=(target, store, context.secrets.values, troubles), name=target.name, daemon=True
        )
        for target in told
    ]
    for thread in threads:
        thread.start()
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    names = [target.name for target in told]
    if logs:
        store.messages.close(names, now())
    return {**store.deliveries.held_up(names), **troubles}


def note(context: Context, store: Store) -> None:
    """Write what is due into the log at once; the other targets are told by `deliver`. Raises StoreError."""
    _send(Log(), store, context.secrets.values)


def _send_all(target: Target, store: Store, known: Sequence[str], troubles: dict[str, str]) -> None:
    """A thread's work; the next look goes on with what a failing state leaves."""
    try:
        _send(target, store, known)
    except StoreError as error:
        troubles[target.name] = str(error)


def _send(target: Target, store: Store, known: Sequence[str]) -> None:
    """Send until nothing is due, or the target rests; nothing while another thread of this process does so."""
    with _busy_lock:
        if target.name in _busy:
            return
        _busy.add(target.name)
    try:
        for _ in range(AT_ONCE):
            delivery = store.deliveries.claim(target.name, at=now())
            if delivery is None:
                return
            _settle(_tried(target, delivery, known), delivery, store)
    finally:
        with _busy_lock:
            _busy.discard(target.name)


def _tried(target: Target, delivery: Delivery, known: Sequence[str]) -> Attempt:
    """One try; after a fault of ours nobody knows how far it came."""
    message = delivery.message
    try:
        attempt = target.send(_parcel(delivery, known))
        return replace(attempt, detail=scrubbed(attempt.detail, known))
    except Exception as error:
        _log.exception("a fault of ours", extra={"action": "fault", "part": target.name, "key": message.key})
        return Attempt(Fate.UNCLEAR, f"a fault of ours: {type(error).__name__}", reference=delivery.reference or {})


def _parcel(delivery: Delivery, known: Sequence[str]) -> Parcel:
    message = delivery.message
    return Parcel(
        message.key,
        message.kind,
        scrubbed(message.body, known),
        message.created_at,
        delivery.tries,
        delivery.is_unclear,
        delivery.tried_at,
        delivery.reference or {},
        delivery.known or {},
    )


def _settle(attempt: Attempt, delivery: Delivery, store: Store) -> None:
    at, state, detail = now(), STATES[attempt.fate], attempt.detail
    if state in (DeliveryState.WAITING, DeliveryState.UNCLEAR) and at - delivery.message.created_at > KEEP:
        state = DeliveryState.GIVEN_UP if state is DeliveryState.WAITING else DeliveryState.LOST
    next_at = _next(attempt, delivery, at)
    store.deliveries.settle(delivery, state, at=at, next_at=next_at, reference=attempt.reference, detail=detail)
    _tell(state, delivery, detail, next_at)


def _next(attempt: Attempt, delivery: Delivery, at: datetime) -> datetime:
    pause = min(FIRST_PAUSE * 2 ** min(delivery.tries, 10), LONGEST_PAUSE)
    return at + timedelta(seconds=attempt.wait or pause)  # "0 seconds" would be asked for again and again at once


def _tell(state: DeliveryState, delivery: Delivery, detail: str, next_at: datetime) -> None:
    """Say how a try ended; what the message says stands in the log anyway."""
    if delivery.target == Log.name:
        return
    facts = {"target": delivery.target, "key": delivery.message.key, "kind": delivery.message.kind, "detail": detail}
    if state is DeliveryState.SENT:
        _log.info("a message is sent", extra={"action": "message_sent", **facts})
    elif state is DeliveryState.LOST:
        _log.warning("a message may not have arrived", extra={"action": "message_lost", **facts})
    elif state is DeliveryState.GIVEN_UP:
        _log.error("a message did not arrive", extra={"action": "message_given_up", **facts})
    else:
        facts["next_at"] = next_at.isoformat()
        _log.warning("a message waits", extra={"action": "message_waits", **facts})
