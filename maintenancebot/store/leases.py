"""Leases: who may work on what now. Each taking raises the fence, so that a former owner's writes are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from maintenancebot.store.database import Database
from maintenancebot.store.owners import Owner, is_gone, owner_from_json, this_process
from maintenancebot.store.tables import leases

CYCLE = "cycle"
"""The name under which one run at a time goes over the fleet."""

_MINE = (leases.c.name == bindparam("of_name")) & (leases.c.fence == bindparam("of_fence"))


def host_name(host: str) -> str:
    """The name of a host's lease."""
    return f"host:{host}"


@dataclass(frozen=True)
class Lease:
    """Something that is ours until it expires; name and fence together were never and will never be another's."""

    name: str
    fence: int
    owner: Owner


@dataclass(frozen=True)
class Holder:
    """Who has a lease."""

    name: str
    owner: Owner
    fence: int
    doing: str
    since: datetime
    until: datetime
    is_here: bool  # a process of this machine

    def __str__(self) -> str:
        process = f"process {self.owner.pid}" + ("" if self.is_here else " of another machine")
        return f"{self.doing} ({process})"


class Leases:
    """Takes, renews and gives back leases; nobody gets one that a living process holds, not even its own process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.owner = this_process()

    def take(self, name: str, doing: str, *, at: datetime, seconds: float) -> Lease | None:
        """The lease, or None while somebody has it; raises StoreError."""
        if self.holder(name, at=at) is not None:
            return None
        values = {
            "owner": self.owner.to_json(),
            "doing": doing,
            "taken_at": at,
            "expires_at": at + timedelta(seconds=seconds),
        }
        with self._database.write() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name).with_for_update()).first()
            if row is None:
                connection.execute(insert(leases), {"name": name, "fence": 1, **values})
                return Lease(name, 1, self.owner)
            if self._held(row, at):
                return None
            fence = row.fence + 1
            connection.execute(update(leases).where(leases.c.name == name).values(fence=fence, **values))
            return Lease(name, fence, self.owner)

    def holder(self, name: str, *, at: datetime) -> Holder | None:
        """Who has it now; None when it is free, expired, or its process is gone."""
        with self._database.read() as connection:
            row = connection.execute(select(leases).where(leases.c.name == name)).first()
        return self._holder(row) if row is not None and self._held(row, at) else None

    def renew(self, held: Sequence[Lease], *, at: datetime, seconds: float) -> None:
        """Put off the end of those that are still ours; raises StoreError."""
        if held:
            rows = [{"of_name": one.name, "of_fence": one.fence} for one in held]
            query = update(leases).where(_MINE, leases.c.owner.is_not(None))
            with self._database.write() as connection:
                connection.execute(query.values(expires_at=at + timedelta(seconds=seconds)), rows)

    def release(self, lease: Lease, *, at: datetime) -> None:
        """Give it back; nothing happens when it is not ours any more. Raises StoreError."""
        with self._database.write() as connection:
            where = (leases.c.name == lease.name, leases.c.fence == lease.fence)
            connection.execute(update(leases).where(*where).values(owner=None, expires_at=at))

    def is_ours(self, lease: Lease) -> bool:
        """Whether nobody has taken it over; asked before every change. Raises StoreError."""
        with self._database.read() as connection:
            return not is_fenced(connection, lease)

    def all(self, *, at: datetime) -> list[Holder]:
        """Everybody who has a lease now, by name."""
        query = select(leases).where(leases.c.owner.is_not(None)).order_by(leases.c.name)
        with self._database.read() as connection:
            return [self._holder(row) for row in connection.execute(query) if self._held(row, at)]

    def _held(self, row: Any, at: datetime) -> bool:
        if row.owner is None or row.expires_at <= at:
            return False
        return not is_gone(owner_from_json(row.owner), self.owner)

    def _holder(self, row: Any) -> Holder:
        owner = owner_from_json(row.owner)
        here = owner.boot == self.owner.boot and owner.namespace == self.owner.namespace
        return Holder(row.name, owner, row.fence, row.doing, row.taken_at, row.expires_at, here)


def is_fenced(connection: Connection, lease: Lease) -> bool:
    """Whether somebody has taken it over, seen inside the caller's transaction."""
    fence = connection.scalar(select(leases.c.fence).where(leases.c.name == lease.name).with_for_update())
    return bool(fence != lease.fence)
