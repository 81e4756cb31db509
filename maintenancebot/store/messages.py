"""What people are to be told: kept until it was sent, each thing once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from maintenancebot.model import Json
from maintenancebot.store.database import Database
from maintenancebot.store.tables import messages


@dataclass(frozen=True)
class Message:
    """One thing to be told."""

    id: int
    key: str
    kind: str
    body: Mapping[str, Json]
    created_at: datetime
    tries: int


class Messages:
    """The spool of messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, key: str, kind: str, body: Mapping[str, Json], *, at: datetime) -> None:
        """Keep a message until it is sent; the same key again is the same message. Raises StoreError."""
        with self._database.write() as connection:
            put_in(connection, key, kind, body, at)

    def due(self, at: datetime, limit: int) -> list[Message]:
        """What is to be sent now, oldest first."""
        query = select(messages).where(messages.c.sent_at.is_(None), messages.c.next_at <= at)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(messages.c.id).limit(limit)).all()
        return [Message(row.id, row.key, row.kind, row.body, row.created_at, row.tries) for row in rows]

    def sent(self, id: int, at: datetime) -> None:
        """It arrived."""
        with self._database.write() as connection:
            connection.execute(update(messages).where(messages.c.id == id).values(sent_at=at))

    def failed(self, id: int, next_at: datetime) -> None:
        """It did not arrive, and is tried again from this time on."""
        with self._database.write() as connection:
            values = {"tries": messages.c.tries + 1, "next_at": next_at}
            connection.execute(update(messages).where(messages.c.id == id).values(values))


def put_in(connection: Connection, key: str, kind: str, body: Mapping[str, Json], at: datetime) -> None:
    """Keep a message, inside the caller's transaction."""
    if connection.scalar(select(messages.c.id).where(messages.c.key == key)) is None:
        row = {"key": key, "kind": kind, "body": dict(body), "created_at": at, "tries": 0, "next_at": at}
        connection.execute(insert(messages), row)
