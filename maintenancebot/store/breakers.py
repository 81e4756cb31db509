"""Circuit breakers of hosts, kept over restarts."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from maintenancebot.policy.breakers import CLOSED, Breaker, Rules, after_run
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import breakers


class Breakers:
    """Counts failed runs of each host."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, host: str) -> Breaker:
        """The host's breaker; closed when nothing ever failed."""
        with self._database.read() as connection:
            return _get(connection, host) or CLOSED

    def count(self, host: str, *, failed: bool, rules: Rules, at: datetime) -> None:
        """Teach the breaker how a run on the host ended; opening and closing go into the audit log."""
        with self._database.write() as connection:
            before = _get(connection, host)
            after = after_run(before or CLOSED, failed=failed, rules=rules, at=at)
            if before is None:
                connection.execute(insert(breakers), {"scope": "host", "name": host, **asdict(after)})
            else:
                connection.execute(
                    update(breakers).where(breakers.c.scope == "host", breakers.c.name == host).values(asdict(after))
                )
            if after.open_until != (before or CLOSED).open_until:
                body = {"open_until": after.open_until and after.open_until.isoformat(), "failures": after.failures}
                append_in(connection, [Record("breaker", "", host, body, at)])


def _get(connection: Connection, host: str) -> Breaker | None:
    query = select(breakers.c.failures, breakers.c.open_until).where(
        breakers.c.scope == "host", breakers.c.name == host
    )
    found = connection.execute(query).first()
    return Breaker(found.failures, found.open_until) if found else None
