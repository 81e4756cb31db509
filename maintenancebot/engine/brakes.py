"""All that can stop a run between two changes, in one list, asked before every single one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.model import Host, Reason
from maintenancebot.policy import windows


class Brakes:
    """Shared by the threads of a run; the gate decided before, this holds until the last change."""

    def __init__(
        self, work: Work, ledger: Ledger, *, expires_at: datetime | None = None, budget: int | None = None
    ) -> None:
        """`expires_at` of the plan; `budget`: changes that may still be tried; without both a person's own request."""
        self._work = work
        self._ledger = ledger
        self._expires_at = expires_at
        self._left = budget
        self._lock = threading.Lock()
        self._overdue: set[str] = set()

    def overdue(self, host: str) -> None:
        """Nobody waits for this host any more: its thread makes no further change."""
        self._overdue.add(host)

    def objection(self, host: Host, changes: int) -> Reason:
        """Why the next step, of so many changes, must not be made on a host; NONE if it may. Counts the budget down."""
        for reason, is_on in self._list(host):
            if is_on():
                return reason
        said = self._ledger.objection()
        if said is not Reason.NONE:
            return said
        return Reason.NONE if self._spend(changes) else Reason.BUDGET_SPENT

    def _list(self, host: Host) -> tuple[tuple[Reason, Callable[[], bool]], ...]:
        settings, now = self._work.settings, self._work.now()
        by_itself = self._expires_at is not None
        return (
            (Reason.INTERRUPTED, self._work.stop.is_set),
            (Reason.DEADLINE, lambda: host.name in self._overdue),
            (Reason.PLAN_EXPIRED, lambda: self._expires_at is not None and now >= self._expires_at),
            (Reason.FREEZE, lambda: by_itself and bool(windows.freeze_reason(settings, now))),
            (Reason.OUTSIDE_WINDOW, lambda: by_itself and bool(windows.closed_reason(settings, host, now))),
        )

    def _spend(self, changes: int) -> bool:
        with self._lock:
            if self._left is None:
                return True
            if self._left < changes:
                return False
            self._left -= changes
            return True
