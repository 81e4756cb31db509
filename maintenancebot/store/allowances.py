"""Allowances: a person's word that something may drift on a host until a time; each word stands in the audit log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from maintenancebot.model import Json
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import memories

KIND = "drift_allowances"
"""Of the rows in the memory: by item."""

GIVEN, REVOKED = "allowance", "allowance_revoked"
"""Kinds of rows in the audit log."""


@dataclass(frozen=True)
class Given:
    """One allowance."""

    host: str
    item: str
    until: datetime
    by: str
    reason: str
    at: datetime


class Allowances:
    """Kept among what is remembered of a host; one for an item replaces the one before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, *, at: datetime) -> list[Given]:
        """Those that hold now, by host and item; raises StoreError."""
        query = select(memories).where(memories.c.kind == KIND)
        with self._database.read() as connection:
            found = [_given(row.host, row.key, row.value) for row in connection.execute(query)]
        return sorted((one for one in found if one.until > at), key=lambda one: (one.host, one.item))

    def give(self, given: Iterable[Given]) -> None:
        """Keep all of these or none; what is past its time goes with them. Raises StoreError."""
        with self._database.write() as connection:
            for one in given:
                _forget_past(connection, one.host, one.at)
                _forget(connection, one.host, one.item)
                value = {"until": one.until.isoformat(), "by": one.by, "reason": one.reason, "at": one.at.isoformat()}
                row = {"host": one.host, "kind": KIND, "key": one.item, "value": value, "at": one.at}
                connection.execute(insert(memories), [row])
                append_in(connection, [Record(GIVEN, "", one.host, {"item": one.item, **value}, one.at)])

    def revoke(self, host: str, item: str, by: str, *, at: datetime) -> bool:
        """Take one back; False where there was none that held. Raises StoreError."""
        with self._database.write() as connection:
            _forget_past(connection, host, at)
            if not _forget(connection, host, item):
                return False
            append_in(connection, [Record(REVOKED, "", host, {"item": item, "by": by}, at)])
            return True


def _forget_past(connection: Connection, host: str, at: datetime) -> None:
    query = select(memories).where(memories.c.host == host, memories.c.kind == KIND)
    for row in connection.execute(query).all():
        if _given(host, row.key, row.value).until <= at:
            _forget(connection, host, row.key)


def _forget(connection: Connection, host: str, item: str) -> bool:
    where = (memories.c.host == host, memories.c.kind == KIND, memories.c.key == item)
    return connection.execute(delete(memories).where(*where)).rowcount > 0


def _given(host: str, item: str, value: Mapping[str, Json]) -> Given:
    until, at = (datetime.fromisoformat(value[key]) for key in ("until", "at"))
    return Given(host, item, until, str(value["by"]), str(value["reason"]), at)
