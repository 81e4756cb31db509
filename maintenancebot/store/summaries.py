"""Summaries of weeks: what was told of each, kept together with the message that tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select

from maintenancebot.model import Json
from maintenancebot.store.database import Database
from maintenancebot.store.messages import put_in
from maintenancebot.store.tables import messages, summaries

KIND = "summary"
"""Of the messages."""


@dataclass(frozen=True)
class Summary:
    """What was told of a week: the facts, and the prose below them."""

    week: str
    made_at: datetime
    facts: Mapping[str, Json]
    prose: Mapping[str, Json]


class Summaries:
    """Keeps and finds summaries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, week: str) -> Summary | None:
        """What was told of a whole week; raises StoreError."""
        with self._database.read() as connection:
            row = connection.execute(select(summaries).where(summaries.c.week == week)).first()
        return Summary(row.week, row.made_at, row.facts, row.prose) if row else None

    def latest(self, week: str) -> Summary | None:
        """What was told last of a week that was at hand then; raises StoreError."""
        of_week = messages.c.key.startswith(f"{KIND}:{week}:", autoescape=True)
        query = select(messages).where(of_week).order_by(messages.c.id.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return Summary(week, row.created_at, row.body["facts"], row.body["prose"]) if row else None

    def is_posted(self, key: str) -> bool:
        """Whether this was told, or waits to be told; raises StoreError."""
        with self._database.read() as connection:
            return connection.scalar(select(messages.c.id).where(messages.c.key == key)) is not None

    def post(self, key: str, summary: Summary, *, is_whole: bool) -> bool:
        """Keep the message, and what it tells of a week that is over; False when it was told before.

        Raises StoreError.
        """
        with self._database.write() as connection:
            if connection.scalar(select(messages.c.id).where(messages.c.key == key)) is not None:
                return False
            body = {"facts": dict(summary.facts), "prose": dict(summary.prose)}
            put_in(connection, key, KIND, body, summary.made_at)
            if is_whole:
                row = {"week": summary.week, "made_at": summary.made_at, **body}
                connection.execute(insert(summaries), row)
        return True
