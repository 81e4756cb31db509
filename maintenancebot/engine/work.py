"""What every piece of a run is handed: settings, connections, the clock, the stop signal."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from maintenancebot.engine.progress import Progress
from maintenancebot.model import Host
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings


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
