"""A week as it may be shown and stored: without secrets, no text too long, times on the wall clock of its zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo

from maintenancebot.policy import windows
from maintenancebot.redaction import redacted
from maintenancebot.report.week import Cell, Forecast, HostWeek, Line, RunLine, Week

LONGEST = 600
"""Characters of one detail: its head and its tail are kept."""
CUT = " […] "


def tidy(week: Week, secrets: Sequence[str]) -> Week:
    """The same week; every text that may come from a host is gone through."""
    broom = _Broom(secrets, windows.zone(week.zone))
    return replace(
        week,
        starts_at=broom.time(week.starts_at),
        ends_at=broom.time(week.ends_at),
        needs_person=tuple(map(broom.line, week.needs_person)),
        changed=tuple(map(broom.line, week.changed)),
        hosts=tuple(map(broom.host, week.hosts)),
        disks=tuple(map(broom.disk, week.disks)),
        runs=tuple(map(broom.run, week.runs)),
    )


def shortened(text: str) -> str:
    """The text, its middle left out where it is too long."""
    keep = (LONGEST - len(CUT)) // 2
    return text if len(text) <= LONGEST else f"{text[:keep]}{CUT}{text[-keep:]}"


class _Broom:
    """Goes through the parts of one week."""

    def __init__(self, secrets: Sequence[str], zone: tzinfo) -> None:
        self._secrets, self._zone = secrets, zone
        self._known: dict[str, str] = {"": ""}  # hosts say the same over and over

    def time(self, at: datetime) -> datetime:
        """On the wall clock."""
        return at.astimezone(self._zone)

    def text(self, text: str) -> str:
        """Without secrets, then short: a secret that is cut in two is not known again."""
        if text not in self._known:
            self._known[text] = shortened(redacted(text, self._secrets))
        return self._known[text]

    def line(self, line: Line) -> Line:
        """A line."""
        since = self.time(line.since) if line.since else None
        return replace(line, subject=self.text(line.subject), detail=self.text(line.detail), since=since)

    def host(self, host: HostWeek) -> HostWeek:
        """A host with its cells."""
        cells = {name: self._cell(cell) for name, cell in host.tasks.items()}
        return replace(host, detail=self.text(host.detail), tasks=cells)

    def disk(self, disk: Forecast) -> Forecast:
        """A disk."""
        return replace(disk, mount=self.text(disk.mount))

    def run(self, run: RunLine) -> RunLine:
        """A run."""
        ended = self.time(run.finished_at) if run.finished_at else None
        return replace(run, started_at=self.time(run.started_at), finished_at=ended)

    def _cell(self, cell: Cell) -> Cell:
        return replace(cell, detail=self.text(cell.detail))
