"""What was learned of a host at earlier looks: sightings, histories, trials; plain rows by kind and key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from maintenancebot.model import Json
from maintenancebot.store.database import Database
from maintenancebot.store.tables import memories


class Memories:
    """Rows of one kind on one host are read and replaced together."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, host: str, kind: str) -> dict[str, Json]:
        """What is remembered, by key; raises StoreError."""
        with self._database.read() as connection:
            return _read(connection, host, kind)

    def everywhere(self, kind: str) -> dict[str, dict[str, Json]]:
        """What is remembered of this kind, by host and key; raises StoreError."""
        query = select(memories.c.host, memories.c.key, memories.c.value).where(memories.c.kind == kind)
        found: dict[str, dict[str, Json]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                found.setdefault(row.host, {})[row.key] = row.value
        return found

    def keep(self, host: str, kind: str, rows: Mapping[str, Json], *, at: datetime) -> None:
        """Remember exactly these rows, no value null; writes only where something is new. Raises StoreError."""
        if self.read(host, kind) == rows:
            return
        with self._database.write() as connection:
            known = _read(connection, host, kind)
            changed = [key for key in {**known, **rows} if known.get(key) != rows.get(key)]
            for key in changed:
                where = (memories.c.host == host, memories.c.kind == kind, memories.c.key == key)
                connection.execute(delete(memories).where(*where))
            new = [
                {"host": host, "kind": kind, "key": key, "value": rows[key], "at": at} for key in changed if key in rows
            ]
            if new:
                connection.execute(insert(memories), new)


def _read(connection: Connection, host: str, kind: str) -> dict[str, Json]:
    query = select(memories.c.key, memories.c.value).where(memories.c.host == host, memories.c.kind == kind)
    return {row.key: row.value for row in connection.execute(query)}
