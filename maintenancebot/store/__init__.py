"""State that outlives a process: runs, audit log, intents, machines, guards, approvals."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from maintenancebot.errors import StoreError
from maintenancebot.store import location
from maintenancebot.store.alerts import Alerts, Received
from maintenancebot.store.allowances import Allowances
from maintenancebot.store.approvals import Approvals
from maintenancebot.store.audit import Audit, AuditVerdict, Record
from maintenancebot.store.breakers import Breakers
from maintenancebot.store.corrections import Corrections
from maintenancebot.store.database import Database
from maintenancebot.store.deliveries import Deliveries
from maintenancebot.store.episodes import Episodes
from maintenancebot.store.figures import Figures
from maintenancebot.store.guards import NAME as STOP
from maintenancebot.store.guards import Guard, StopFile, StopInfo, stop_by_file
from maintenancebot.store.intents import Intent, Intents
from maintenancebot.store.leases import Leases
from maintenancebot.store.machines import Machines
from maintenancebot.store.memories import Memories
from maintenancebot.store.messages import Messages
from maintenancebot.store.opening import NAME, open_file, open_read_only
from maintenancebot.store.reviews import Reviews
from maintenancebot.store.runs import Run, Runs
from maintenancebot.store.slots import Slots
from maintenancebot.store.spending import Spending
from maintenancebot.store.summaries import Summaries

__all__ = ["AuditVerdict", "Intent", "Received", "Record", "Run", "StopInfo", "Store", "stop_by_file"]

_SQLITE = "sqlite:///"


class Store:
    """All state of one place, safe to share between threads; each part raises StoreError when it cannot do its work."""

    def __init__(self, database: Database, state: Path, stops: list[StopFile], *, read_only: bool) -> None:
        self._database = database
        self.read_only = read_only
        self.runs = Runs(database)
        self.audit = Audit(database)
        self.intents = Intents(database)
        self.corrections = Corrections(database)
        self.machines = Machines(database)
        self.guard = Guard(database, state, stops)
        self.approvals = Approvals(database)
        self.breakers = Breakers(database)
        self.leases = Leases(database)
        self.memories = Memories(database)
        self.allowances = Allowances(database)
        self.slots = Slots(database)
        self.alerts = Alerts(database)
        self.episodes = Episodes(database)
        self.messages = Messages(database)
        self.deliveries = Deliveries(database)
        self.reviews = Reviews(database)
        self.summaries = Summaries(database)
        self.spending = Spending(database)
        self.figures = Figures(database)

    @classmethod
    def open(cls, state: Path, *, create: bool, url: str | None = None, kill_switch: Path | None = None) -> Store:
        """Open the state of a directory for reading and writing, with `create` made if there never was one.

        `url` names a database elsewhere, `kill_switch` a further file that stops everything while it exists.
        Raises StoreError when the state is damaged, missing after use, from a newer version, or cannot be written.
        """
        if create:
            location.prepare(state)
        database = open_file(state, _database_path(state, url), create=create)
        return cls(database, state, [StopFile(state / STOP), *_further(kill_switch)], read_only=False)

    @classmethod
    def open_readonly(cls, state: Path, *, url: str | None = None, kill_switch: Path | None = None) -> Store:
        """Open the state for looking: nothing is made or written, empty if there never was any. Raises StoreError."""
        database = open_read_only(state, _database_path(state, url))
        # A directory that is not there stops a run, but it is no more than a first look without any state.
        stops = [StopFile(state / STOP)] if os.path.lexists(state) else []
        return cls(database, state, [*stops, *_further(kill_switch)], read_only=True)

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _further(kill_switch: Path | None) -> list[StopFile]:
    return [StopFile(kill_switch)] if kill_switch else []


def _database_path(state: Path, url: str | None) -> Path:
    if url is None:
        return state / NAME
    if not url.startswith(_SQLITE + "/"):
        raise StoreError(f"a state in {url.split(':')[0]} is not available; write sqlite:////folder/state.db")
    return Path(unquote(url.removeprefix(_SQLITE)))
