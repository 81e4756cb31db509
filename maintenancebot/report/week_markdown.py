"""A week's summary as Markdown; text from hosts stays text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maintenancebot.report import week_lines
from maintenancebot.report.clean import clean_markdown
from maintenancebot.report.week import Week
from maintenancebot.report.week_text import PROSE, disk_cells, matrix, together


def markdown(week: Week, prose: str = "") -> str:
    """The summary, what needs a person first; `prose` is what a model said of it."""
    disks = [("HOST", "MOUNT", "USED", "FULL"), *map(disk_cells, week.disks)] if week.disks else []
    parts = [
        [f"# {clean_markdown(f'{week.name}, {week.week}')}"],
        [clean_markdown(week_lines.period(week))],
        [f"**{clean_markdown(week.headline)}**"],
        _list("Needs a person", map(week_lines.sentence, together(week.needs_person))),
        _list("Figures", map(week_lines.figure_in_words, week_lines.figures(week))),
        _list("Otherwise than the week before", map(week_lines.sentence, together(week.changed))),
        _table("Disks", disks),
        _table("Hosts", matrix(week)),
        [f"## {PROSE}", "", *(f"> {clean_markdown(line)}" for line in prose.splitlines())] if prose else [],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _list(heading: str, lines: Iterable[str]) -> list[str]:
    found = [f"- {clean_markdown(line)}" for line in lines]
    return [f"## {heading}", "", *found] if found else []


def _table(heading: str, rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    head, *body = [[clean_markdown(cell) for cell in row] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in body]
    return [f"## {heading}", "", f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *lines]
