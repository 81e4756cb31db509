"""A week's summary as plain text: what needs a person first, then figures, changes, disks and every host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from maintenancebot.report import week_lines
from maintenancebot.report.clean import clean
from maintenancebot.report.text import aligned
from maintenancebot.report.week import Forecast, Line, Week

PROSE = "In the words of a model, checked against the facts above:"


def text(week: Week, prose: str = "") -> str:
    """The summary as aligned text without any control character; `prose` is what a model said of it."""
    parts = [
        [clean(f"{week.name}, {week.week} ({week_lines.period(week)})")],
        [clean(week.headline)],
        _section("Needs a person:", map(week_lines.sentence, together(week.needs_person))),
        _section("Figures:", map(week_lines.figure_in_words, week_lines.figures(week))),
        _section("Otherwise than the week before:", map(week_lines.sentence, together(week.changed))),
        _table("Disks:", [disk_cells(disk) for disk in week.disks]),
        _table("Hosts:", matrix(week)),
        _section(PROSE, prose.splitlines()),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def together(lines: Sequence[Line]) -> list[Line]:
    """One line for all hosts of which the same is to be told; every host is named."""
    hosts: dict[Line, list[str]] = {}
    for line in lines:
        hosts.setdefault(replace(line, host=""), []).append(line.host)
    return [replace(line, host=", ".join(filter(None, names))) for line, names in hosts.items()]


def matrix(week: Week) -> list[tuple[str, ...]]:
    """The fleet: a row for each host, worst first, a column for each task; the first row is the heading."""
    tasks = list(dict.fromkeys(task for host in week.hosts for task in host.tasks))
    rows = [
        (host.host, host.state.value, *(host.tasks[task].state.value if task in host.tasks else "-" for task in tasks))
        for host in week_lines.worst_first(week.hosts)
    ]
    return [("HOST", "STATE", *tasks), *rows] if rows else []


def disk_cells(disk: Forecast) -> tuple[str, ...]:
    """A disk as cells of a table."""
    return disk.host, disk.mount, f"{disk.percent:.0f}%", week_lines.forecast(disk)


def _section(heading: str, lines: Iterable[str]) -> list[str]:
    found = [f"  {clean(line)}" for line in lines]
    return [heading, *found] if found else []


def _table(heading: str, rows: Sequence[Sequence[str]]) -> list[str]:
    return [heading, *(f"  {row}" for row in aligned([tuple(map(clean, row)) for row in rows]))] if rows else []
