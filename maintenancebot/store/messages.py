"""What people are to be told: kept until it was sent, each thing once."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from maintenancebot.model import Json
from maintenancebot.store.database import Database
from maintenancebot.store.tables import deliveries, messages

LONGEST_KEY = 128


@dataclass(frozen=True)
class Message:
    """One thing to be told."""

    id: int
    key: str
    kind: str
    body: Mapping[str, Json]
    created_at: datetime


class Messages:
    """The spool of messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: str, kind: str, body: Mapping[str, Json], *, at: datetime) -> None:
        """Keep a message until it is sent; the same key again is the same message. Raises StoreError."""
        with self._database.write() as connection:
            put_in(connection, key, kind, body, at)

    def waiting(self, limit: int) -> list[Message]:
        """What was not sent to everybody yet, oldest first."""
        query = select(messages).where(messages.c.sent_at.is_(None)).order_by(messages.c.id).limit(limit)
        with self._database.read() as connection:
            return [message_of(row) for row in connection.execute(query)]

    def latest(self, kind: str, limit: int = 100) -> list[Message]:
        """The newest of a kind, newest first, whether they were sent or not."""
        query = select(messages).where(messages.c.kind == kind).order_by(messages.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [message_of(row) for row in connection.execute(query)]

    def close(self, targets: Collection[str], at: datetime) -> None:
        """What ended for all of these targets is sent; raises StoreError."""
        waiting = select(messages.c.id).where(messages.c.sent_at.is_(None))
        ended = select(deliveries.c.message).where(
            deliveries.c.message.in_(waiting), deliveries.c.target.in_(targets), deliveries.c.ended_at.is_not(None)
        )
        with self._database.read() as connection:
            counts = Counter(connection.scalars(ended))
        over = [message for message, count in counts.items() if count == len(targets)]
        if over:
            with self._database.write() as connection:
                connection.execute(update(messages).where(messages.c.id.in_(over)).values(sent_at=at))


def message_of(row: Any) -> Message:
    """The message of a row."""
    return Message(row.id, row.key, row.kind, row.body, row.created_at)


def put_in(connection: Connection, key: str, kind: str, body: Mapping[str, Json], at: datetime) -> None:
    """Keep a message, inside the caller's transaction."""
    key = _fitted(key)
    if connection.scalar(select(messages.c.id).where(messages.c.key == key)) is None:
        row = {"key": key, "kind": kind, "body": dict(body), "created_at": at}
        connection.execute(insert(messages), row)


def _fitted(key: str) -> str:
    """The key, of which the end of a long one stands as its digest: names of files have any length and any bytes."""
    key = key.encode("utf-8", "backslashreplace").decode("utf-8")
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.sha256(key.encode("utf-8")).hexdigest()
    return f"{key[: LONGEST_KEY - len(digest) - 1]}:{digest}"
