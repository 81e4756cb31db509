"""The audit log: what was intended and what became of it, each row bound to the one before it by a hash."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Connection, func, insert, select, type_coerce, update

from maintenancebot.errors import StoreError
from maintenancebot.model import Json
from maintenancebot.plan.document import canonical
from maintenancebot.store.database import Database
from maintenancebot.store.tables import Moment, audit, audit_head, identity

INTENT = "intent"  # a change is about to be made
OUTCOME = "outcome"  # it was made, or tried; counts for the budgets
UNTOUCHED = "untouched"  # intended, and then left alone

PROBE_BYTES = 65_536

_MOMENT = Moment()


@dataclass(frozen=True)
class Record:
    """One row to be written."""

    kind: str
    run: str
    host: str
    body: Json
    at: datetime
    change: str = ""


@dataclass(frozen=True)
class AuditVerdict:
    """What checking the chain gave; `head` is worth comparing with a copy kept elsewhere."""

    ok: bool
    rows: int
    head: str
    first_bad_seq: int | None = None
    problem: str = ""


class Audit:
    """Appends to the log, counts in it, checks it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, kind: str, *, run: str, host: str, body: Json, at: datetime, change: str = "") -> int:
        """Write one row and return its number; raises StoreError."""
        return self.append_many([Record(kind, run, host, body, at, change)])

    def append_many(self, records: Sequence[Record]) -> int:
        """Write all of the rows or none, and return the last one's number; raises StoreError."""
        with self._database.write() as connection:
            return append_in(connection, records)

    def probe_writable(self) -> bool:
        """Whether rows could be written now: found out by a write too large for leftover room."""
        try:
            with self._database.write() as connection:
                connection.execute(update(identity).values(probed=secrets.token_hex(PROBE_BYTES // 2)))
        except StoreError:
            return False
        return True

    def actions_since(self, at: datetime, host: str | None = None) -> int:
        """How many changes were made or tried since then."""
        with self._database.read() as connection:
            return actions_in(connection, at, host)

    def verify(self) -> AuditVerdict:
        """Check every row and the end of the chain."""
        with self._database.read() as connection:
            return _verify(connection)


def append_in(connection: Connection, records: Sequence[Record]) -> int:
    """Write the rows inside the caller's transaction; returns the number of the last one."""
    seq, last = _head(connection, lock=True)
    rows = []
    for record in records:
        row = {
            "seq": seq + 1,
            "at": record.at,
            "kind": record.kind,
            "run": record.run,
            "host": record.host,
            "change_id": record.change,
            "body": canonical(record.body).decode("ascii"),
            "prev_hash": last,
        }
        row["hash"] = last = _hash({**row, "at": _micros(record.at)})
        seq += 1
        rows.append(row)
    if rows:
        connection.execute(insert(audit), rows)
        connection.execute(update(audit_head).values(rows=seq, hash=last))
    return seq


def actions_in(connection: Connection, at: datetime, host: str | None = None) -> int:
    """How many changes were made or tried since then, inside the caller's transaction."""
    query = select(func.count()).select_from(audit).where(audit.c.kind == OUTCOME, audit.c.at >= at)
    if host is not None:
        query = query.where(audit.c.host == host)
    return int(connection.scalar(query) or 0)


def origin(store_id: str) -> str:
    """What the first row of a store follows; rows of another store do not fit."""
    return hashlib.sha256(f"maintenancebot audit log of {store_id}".encode("ascii")).hexdigest()


def _verify(connection: Connection) -> AuditVerdict:
    counted, head = _head(connection)
    last = origin(str(connection.scalar(select(identity.c.store_id))))
    seen = 0
    columns = [type_coerce(c, BigInteger) if c is audit.c.at else c for c in audit.c]
    query = select(*columns).order_by(audit.c.seq).execution_options(yield_per=1000)
    for row in connection.execute(query).mappings():
        problem = _problem(row, seen + 1, last)
        if problem:
            return AuditVerdict(False, counted, head, min(seen + 1, row["seq"]), problem)
        seen, last = seen + 1, row["hash"]
    if seen < counted:
        return AuditVerdict(False, counted, head, seen + 1, f"rows {seen + 1} to {counted} are missing at the end")
    if seen > counted or last != head:
        return AuditVerdict(False, counted, head, max(seen, 1), "the last row is not the one that was written last")
    return AuditVerdict(True, counted, head)


def _problem(row: Any, expected: int, last: str) -> str:
    if row["seq"] > expected:
        return f"row {expected} is missing"
    if row["seq"] < expected:
        return f"row {row['seq']} does not belong here"
    if row["hash"] != _hash(row):
        return f"row {expected} was changed: its hash does not fit"
    if row["prev_hash"] != last:
        return f"row {expected} does not follow the row before it"
    return ""


def _head(connection: Connection, *, lock: bool = False) -> tuple[int, str]:
    query = select(audit_head.c.rows, audit_head.c.hash)
    found = connection.execute(query.with_for_update() if lock else query).first()
    if found is None:
        raise StoreError("the head of the audit log is missing: restore the state from a backup, see docs/state.md")
    return found.rows, found.hash


def _hash(row: Any) -> str:
    names = ("seq", "at", "kind", "run", "host", "change_id", "body", "prev_hash")
    return hashlib.sha256(canonical([row[name] for name in names])).hexdigest()


def _micros(at: datetime) -> int:
    micros = _MOMENT.process_bind_param(at, None)  # type: ignore[arg-type]  # it looks at no dialect
    assert micros is not None
    return micros
