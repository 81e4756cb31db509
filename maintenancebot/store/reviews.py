"""Reviews: who said to have read what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import reviews


@dataclass(frozen=True)
class Review:
    """A person read something."""

    by: str
    at: datetime


class Reviews:
    """Keeps reviews; one person reviews one thing once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, subject: str, by: str, *, at: datetime) -> bool:
        """This person has read it; False when that was known. Raises StoreError."""
        mine = select(reviews.c.id).where(reviews.c.subject == subject, reviews.c.by == by)
        with self._database.write() as connection:
            if connection.scalar(mine) is not None:
                return False
            connection.execute(insert(reviews), {"subject": subject, "by": by, "at": at})
            append_in(connection, [Record("reviewed", "", "", {"subject": subject, "by": by}, at)])
        return True

    def of(self, subject: str) -> list[Review]:
        """Everybody who has read it, the first one first."""
        query = select(reviews).where(reviews.c.subject == subject).order_by(reviews.c.id)
        with self._database.read() as connection:
            return [Review(row.by, row.at) for row in connection.execute(query)]
