"""What every piece of a run is handed: settings, connections, the clock, the stop signal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from maintenancebot.engine.progress import Progress
from maintenancebot.model import Host, Json
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings


class Memory(Protocol):
    """What was learned of hosts at earlier looks; a dry run keeps nothing."""

    def read(self, host: str, kind: str) -> Mapping[str, Json]:
        """The rows of a kind, by key."""
        ...

    def keep(self, host: str, kind: str, rows: Mapping[str, Json]) -> None:
        """Remember exactly these rows of the kind."""
        ...


class NoMemory:
    """Remembers nothing."""

    def read(self, host: str, kind: str) -> Mapping[str, Json]:
        """Nothing."""
        return {}

    def keep(self, host: str, kind: str, rows: Mapping[str, Json]) -> None:
        """Forgotten at once."""


@dataclass(frozen=True)
class Work:
    """The surroundings of a run."""

    run_id: str
    settings: Settings
    connect: Callable[[Host], Session]  # raises RemoteError
    now: Callable[[], datetime]
    progress: Progress
    stop: threading.Event  # set by a signal: end after the change in hand
    fleet: int = 0  # hosts in the inventory, of which this run may see a part
    memory: Memory = field(default_factory=NoMemory)
    by: str = ""  # who wanted this run: a person, or the daemon
