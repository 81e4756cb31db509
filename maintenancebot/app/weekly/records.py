"""What was recorded of a week, read at once: reports of its runs, slots, episodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from maintenancebot.app.remediation import DISK
from maintenancebot.app.trash import PURGE, RESTORE
from maintenancebot.model import Report
from maintenancebot.policy.episodes import Episode
from maintenancebot.policy.weeks import Span
from maintenancebot.report.document import report_from_json
from maintenancebot.store import Run, Store
from maintenancebot.store.deliveries import Undelivered
from maintenancebot.store.slots import Slot

BY_HAND = frozenset({DISK, RESTORE})
"""Commands of a person who saw how they ended."""

EPISODE = "episode "
"""How the commands of episodes begin; episodes tell themselves how they ended."""


@dataclass(frozen=True)
class Records:
    """A week in the store."""

    span: Span
    until: datetime  # its end, or now while it is at hand
    runs: tuple[Run, ...] = ()  # oldest first
    reports: tuple[Report, ...] = ()  # of those that ended, oldest first
    unreadable: tuple[Run, ...] = ()  # that have an end, but no report that this version reads
    slots: tuple[Slot, ...] = ()
    episodes: tuple[Episode, ...] = ()
    undelivered: tuple[Undelivered, ...] = ()  # messages that nobody may have read

    @property
    def looks(self) -> Iterator[Report]:
        """The reports that say how the tasks of hosts are."""
        for report in self.reports:
            if report.command not in BY_HAND and not report.command.startswith(EPISODE):
                yield report

    @property
    def purges(self) -> Iterator[Report]:
        """The reports of purges."""
        return (report for report in self.reports if report.command == PURGE)


def read(store: Store, span: Span, until: datetime) -> Records:
    """All that is recorded of a week up to a time; raises StoreError."""
    until = min(span.ends_at, until)
    runs = tuple(store.runs.between(span.starts_at, until))
    reports, unreadable = _reports([run for run in runs if run.finished_at is not None])
    return Records(
        span=span,
        until=until,
        runs=runs,
        reports=reports,
        unreadable=unreadable,
        slots=tuple(store.slots.between(span.starts_at, until)),
        episodes=tuple(store.episodes.between(span.starts_at, until)),
        undelivered=tuple(store.deliveries.undelivered(span.starts_at, until)),
    )


def _reports(runs: list[Run]) -> tuple[tuple[Report, ...], tuple[Run, ...]]:
    reports, unreadable = [], []
    for run in runs:
        try:
            reports.append(report_from_json(run.report or {}))
        except (ValueError, KeyError, TypeError, AttributeError):
            unreadable.append(run)
    return tuple(reports), tuple(unreadable)
