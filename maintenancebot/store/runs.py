"""Runs: when each started and ended, and its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update

from maintenancebot.errors import UsageError
from maintenancebot.model import Json, State
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import runs

_SHORT = [column for column in runs.c if column.name != "report"]


@dataclass(frozen=True)
class Run:
    """A run as stored; without end and state it is at work, or was broken off."""

    id: str
    command: str
    configuration: str
    started_at: datetime
    finished_at: datetime | None
    state: State | None
    totals: Mapping[str, Json] | None
    report: Mapping[str, Json] | None = None  # filled by `get` and `between` alone


class Runs:
    """Writes and finds runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start(self, run_id: str, command: str, configuration: str, *, at: datetime) -> None:
        """Write down that a run begins; raises StoreError."""
        row = {"id": run_id, "command": command, "configuration": configuration, "started_at": at}
        with self._database.write() as connection:
            connection.execute(insert(runs), row)
            body = {"command": command, "configuration": configuration}
            append_in(connection, [Record("run_started", run_id, "", body, at)])

    def finish(
        self, run_id: str, state: State, totals: Mapping[str, Json], report: Mapping[str, Json], *, at: datetime
    ) -> None:
        """Write down how a run ended; raises StoreError."""
        row = {"finished_at": at, "state": state.value, "totals": dict(totals), "report": dict(report)}
        with self._database.write() as connection:
            connection.execute(update(runs).where(runs.c.id == run_id).values(row))
            body = {"state": state.value, "totals": dict(totals)}
            append_in(connection, [Record("run_finished", run_id, "", body, at)])

    def get(self, run_id: str) -> Run | None:
        """The run of this id, or whose id alone begins so; raises UsageError when several do."""
        if not run_id:
            return None
        query = select(runs).where(runs.c.id.startswith(run_id, autoescape=True)).order_by(runs.c.id).limit(5)
        with self._database.read() as connection:
            found = [_run(row) for row in connection.execute(query).mappings()]
        exact = [run for run in found if run.id == run_id]
        if len(found) > 1 and not exact:
            raise UsageError(f"several runs begin with {run_id!r}: {', '.join(run.id for run in found)}")
        return next(iter(exact or found), None)

    def latest(self, limit: int) -> list[Run]:
        """The newest runs, newest first, without their reports."""
        query = select(*_SHORT).order_by(runs.c.started_at.desc(), runs.c.id.desc()).limit(limit)
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(query).mappings()]

    def between(self, since: datetime, until: datetime) -> list[Run]:
        """The runs that began from `since` on and before `until`, oldest first, with their reports."""
        began = (runs.c.started_at >= since, runs.c.started_at < until)
        with self._database.read() as connection:
            found = connection.execute(select(runs).where(*began).order_by(runs.c.started_at, runs.c.id))
            return [_run(row) for row in found.mappings()]

    def any_between(self, since: datetime, until: datetime) -> bool:
        """Whether a run began from `since` on and before `until`."""
        query = select(runs.c.id).where(runs.c.started_at >= since, runs.c.started_at < until).limit(1)
        with self._database.read() as connection:
            return connection.scalar(query) is not None

    def unfinished(self) -> list[Run]:
        """Runs without an end, oldest first."""
        query = select(*_SHORT).where(runs.c.finished_at.is_(None)).order_by(runs.c.started_at)
        with self._database.read() as connection:
            return [_run(row) for row in connection.execute(query).mappings()]


def _run(row: Any) -> Run:
    return Run(**{**row, "state": State(row["state"]) if row["state"] else None})
