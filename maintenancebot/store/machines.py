"""Which machine answered under a host's name."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import machines


class Machines:
    """Remembers machine-ids, so that another machine at an address is noticed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self, host: str) -> str:
        """The machine-id that the host had, "" if it was never seen."""
        with self._database.read() as connection:
            found = connection.scalar(select(machines.c.machine_id).where(machines.c.host == host))
        return "" if found is None else str(found)

    def remember(self, host: str, machine_id: str, address: str, *, at: datetime) -> None:
        """Write down which machine a host is; a first or another machine goes into the audit log."""
        row = {"machine_id": machine_id, "address": address, "last_seen": at}
        with self._database.write() as connection:
            before = connection.scalar(select(machines.c.machine_id).where(machines.c.host == host))
            if before is None:
                connection.execute(insert(machines), {"host": host, "first_seen": at, **row})
            else:
                connection.execute(update(machines).where(machines.c.host == host).values(row))
            if before != machine_id:
                body = {"before": before or "", "machine_id": machine_id, "address": address}
                append_in(connection, [Record("machine", "", host, body, at)])

    def seen(self, hosts: Collection[str], *, at: datetime) -> None:
        """Write down that these hosts answered as the machines that they are known as."""
        if hosts:
            with self._database.write() as connection:
                connection.execute(update(machines).where(machines.c.host.in_(hosts)).values(last_seen=at))

    def last_seen(self) -> dict[str, datetime]:
        """When each host last answered."""
        with self._database.read() as connection:
            return {
                row.host: row.last_seen for row in connection.execute(select(machines.c.host, machines.c.last_seen))
            }

    def forget(self, host: str, *, at: datetime) -> None:
        """Take any machine for this host from now on: a person said that it is a new one."""
        with self._database.write() as connection:
            before = connection.scalar(select(machines.c.machine_id).where(machines.c.host == host))
            if before is not None:
                connection.execute(delete(machines).where(machines.c.host == host))
                append_in(connection, [Record("machine_forgotten", "", host, {"before": before}, at)])
