"""How often an object was seen unused, for what may go only after several looks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from maintenancebot.store.database import Database
from maintenancebot.store.tables import sightings


@dataclass(frozen=True)
class Sighting:
    """When and how often an object was seen, without a gap."""

    first_seen: datetime
    last_seen: datetime
    times: int


class Sightings:
    """Counts looks at objects of one kind on one host."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, host: str, kind: str) -> dict[str, Sighting]:
        """What was seen at the last look."""
        query = select(sightings).where(sightings.c.host == host, sightings.c.kind == kind)
        with self._database.read() as connection:
            return {
                row.object_id: Sighting(row.first_seen, row.last_seen, row.times) for row in connection.execute(query)
            }

    def see(self, host: str, kind: str, ids: Collection[str], *, at: datetime) -> dict[str, Sighting]:
        """Count one look at which exactly these objects were seen; whatever is not among them starts anew."""
        before = self.known(host, kind)
        seen = {one: _again(before.get(one), at) for one in ids}
        rows = [
            {
                "host": host,
                "kind": kind,
                "object_id": one,
                "first_seen": s.first_seen,
                "last_seen": at,
                "times": s.times,
            }
            for one, s in seen.items()
        ]
        with self._database.write() as connection:
            connection.execute(delete(sightings).where(sightings.c.host == host, sightings.c.kind == kind))
            if rows:
                connection.execute(insert(sightings), rows)
        return seen


def _again(before: Sighting | None, at: datetime) -> Sighting:
    return Sighting(before.first_seen, at, before.times + 1) if before else Sighting(at, at, 1)
