"""All that can stop a run between two changes, in one list, asked before every single one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.model import Host, Reason
from maintenancebot.policy import windows


class Brakes:
    """Shared by the threads of a run; the gate decided before, this holds until the last change."""

    def __init__(self, work: Work, ledger: Ledger, *, expires_at: datetime | None = None) -> None:
        """`expires_at` of the plan; without it a person's own request."""
        self._work = work
        self._ledger = ledger
        self._expires_at = expires_at
        self._overdue: set[str] = set()

    def overdue(self, host: str) -> None:
        """Nobody waits for this host any more: its thread makes no further change."""
        self._overdue.add(host)

    def objection(self, host: Host) -> Reason:
        """Why the next change must not be made on a host; NONE if it may."""
        for reason, is_on in self._list(host):
            if is_on():
                return reason
        return self._ledger.objection(host.name)

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
