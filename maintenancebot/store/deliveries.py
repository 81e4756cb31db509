"""Deliveries: what became of each message at each target; a try is on disk before it is begun."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, and_, func, insert, or_, select, update

from maintenancebot.model import Json
from maintenancebot.store.database import Database
from maintenancebot.store.messages import Message, message_of
from maintenancebot.store.owners import is_gone, owner_from_json, this_process
from maintenancebot.store.tables import deliveries, messages

LONGEST_PAUSE = timedelta(hours=1)
"""A target that is to wait longer waits because a clock was set."""
LONGEST_TRY = timedelta(minutes=30)
"""A try that a process of another machine began so long ago has ended without saying how."""


class DeliveryState(StrEnum):
    """How far a message is at a target."""

    SENDING = "sending"  # a process tries now, or ended while it did
    WAITING = "waiting"  # it is not there, and is tried again
    UNCLEAR = "unclear"  # it may be there; the next try finds out
    SENT = "sent"
    LOST = "lost"  # it may be there, nobody can find out, and it is not sent again
    GIVEN_UP = "given_up"  # it is not there, and is not tried again


OVER = frozenset({DeliveryState.SENT, DeliveryState.LOST, DeliveryState.GIVEN_UP})
_NOT_THERE = (DeliveryState.LOST.value, DeliveryState.GIVEN_UP.value)
_HELD = (DeliveryState.WAITING.value, DeliveryState.UNCLEAR.value)


@dataclass(frozen=True)
class Delivery:
    """A message that is this process's to send to a target now."""

    message: Message
    target: str
    tries: int = 0  # before this one
    is_unclear: bool = False  # an earlier try may have arrived
    tried_at: datetime | None = None  # the earlier try
    reference: Mapping[str, Json] | None = None  # what an earlier try left there
    known: Mapping[str, Json] | None = None  # what the last message that arrived left there


@dataclass(frozen=True)
class Undelivered:
    """A message that a target was not told, or may not have been told, and is not told any more."""

    target: str
    state: DeliveryState
    key: str
    detail: str
    at: datetime


class Deliveries:
    """Hands out what is to be sent, to one process at a time, and keeps what came of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._owner = this_process()

    def claim(self, target: str, *, at: datetime) -> Delivery | None:
        """The next message for a target, None while there is none or the target rests; raises StoreError.

        What was tried less often comes first: one message that a target never takes does not hold the others.
        """
        if self._next(target, at, self._database.read) is None:
            return None
        with self._database.write() as connection:
            found = _next_in(connection, target, at, self._is_free)
            if found is not None:
                _begin(connection, found, self._owner.to_json(), at)
        return found

    def settle(
        self,
        delivery: Delivery,
        state: DeliveryState,
        *,
        at: datetime,
        next_at: datetime | None = None,
        reference: Mapping[str, Json] | None = None,
        detail: str = "",
    ) -> None:
        """Keep what came of a try; raises StoreError."""
        values = {
            "state": state.value,
            "owner": None,
            "next_at": next_at or at,
            "ended_at": at if state in OVER else None,
            "reference": dict(reference or {}),
            "detail": detail,
        }
        with self._database.write() as connection:
            connection.execute(update(deliveries).where(*_of(delivery)).values(values))

    def held_up(self, targets: Collection[str]) -> dict[str, str]:
        """The targets that did not take what they were sent last, each with the reason."""
        query = select(deliveries.c.target, deliveries.c.detail).where(
            deliveries.c.target.in_(targets), deliveries.c.state.in_(_HELD)
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(deliveries.c.tried_at)).all()
        return {row.target: row.detail for row in rows}

    def place(self, key: str, target: str) -> Mapping[str, Json]:
        """Where the message of this key stands at a target, as that calls it; empty if it is not there."""
        query = select(deliveries.c.reference).join(messages, messages.c.id == deliveries.c.message)
        this = (messages.c.key == key, deliveries.c.target == target, deliveries.c.state == DeliveryState.SENT.value)
        with self._database.read() as connection:
            found: Mapping[str, Json] | None = connection.scalar(query.where(*this))
        return found or {}

    def undelivered(self, since: datetime, until: datetime) -> list[Undelivered]:
        """What was given up, or got lost, in this time, oldest first; raises StoreError."""
        this = (deliveries.c.state.in_(_NOT_THERE), deliveries.c.ended_at >= since, deliveries.c.ended_at < until)
        query = select(deliveries, messages.c.key).join(messages, messages.c.id == deliveries.c.message).where(*this)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(deliveries.c.ended_at, deliveries.c.message)).all()
        return [Undelivered(row.target, DeliveryState(row.state), row.key, row.detail, row.ended_at) for row in rows]

    def _next(self, target: str, at: datetime, look: Any) -> Delivery | None:
        with look() as connection:
            return _next_in(connection, target, at, self._is_free)

    def _is_free(self, row: Any, at: datetime) -> bool:
        """Whether nobody is at work on a row that says that somebody is."""
        return is_gone(owner_from_json(row.owner), self._owner) or at - row.tried_at > LONGEST_TRY


def _next_in(connection: Connection, target: str, at: datetime, is_free: Any) -> Delivery | None:
    rests = and_(deliveries.c.next_at > at, deliveries.c.next_at < at + LONGEST_PAUSE)
    of_target = deliveries.c.target == target
    resting = select(deliveries.c.message).where(of_target, deliveries.c.state.in_(_HELD), rests).limit(1)
    if connection.scalar(resting) is not None:
        return None
    query = (
        select(messages, deliveries)
        .outerjoin(deliveries, and_(deliveries.c.message == messages.c.id, of_target))
        .where(messages.c.sent_at.is_(None), or_(deliveries.c.message.is_(None), deliveries.c.ended_at.is_(None)))
        .order_by(func.coalesce(deliveries.c.tries, 0), messages.c.id)
    )
    for row in connection.execute(query):
        if row.state is None:
            return Delivery(message_of(row), target, known=_last(connection, target))
        if row.state in _HELD or is_free(row, at):
            return _again(row, _last(connection, target))
    return None


def _again(row: Any, known: Mapping[str, Json] | None) -> Delivery:
    """A try that follows another one; who ended in the middle of it said nothing of what it did."""
    is_unclear = row.state != DeliveryState.WAITING.value
    return Delivery(message_of(row), row.target, row.tries, is_unclear, row.tried_at, row.reference, known)


def _last(connection: Connection, target: str) -> Mapping[str, Json] | None:
    query = select(deliveries.c.reference).where(
        deliveries.c.target == target, deliveries.c.state == DeliveryState.SENT.value
    )
    found: Mapping[str, Json] | None = connection.scalar(query.order_by(deliveries.c.ended_at.desc()).limit(1))
    return found


def _begin(connection: Connection, delivery: Delivery, owner: Json, at: datetime) -> None:
    values = {
        "state": DeliveryState.SENDING.value,
        "tries": delivery.tries + 1,
        "owner": owner,
        "tried_at": at,
        "next_at": at,
    }
    if delivery.tries:
        connection.execute(update(deliveries).where(*_of(delivery)).values(values))
    else:
        row = {"message": delivery.message.id, "target": delivery.target, "reference": {}, "detail": "", **values}
        connection.execute(insert(deliveries), row)


def _of(delivery: Delivery) -> tuple[Any, Any]:
    return deliveries.c.message == delivery.message.id, deliveries.c.target == delivery.target
