"""A report as plain text, as Markdown, and as a table on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from maintenancebot.model import Report, State
from maintenancebot.report.clean import clean, clean_markdown
from maintenancebot.report.page import Group, Page, Row, page

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

COLUMNS = ("HOST", "TASK", "STATE", "REASON", "WHAT")

FLEET = "Declared items across the hosts, the odd one out first"

STYLES = {
    State.PLANNED: "cyan",
    State.DONE: "green",
    State.NOTHING: "dim",
    State.SKIPPED: "yellow",
    State.WAITING: "bold yellow",
    State.FAILED: "bold red",
    State.UNKNOWN: "bold magenta",
}


def plain(report: Report, *, verbose: bool = False) -> str:
    """The report as aligned text without any control character."""
    content = page(report, verbose=verbose)
    parts = [
        [clean(content.title)],
        aligned([COLUMNS, *(_cells(row) for row in content.rows)]) if content.rows else [],
        *(_plain_group(group) for group in content.groups),
        _plain_fleet(content),
        _ending(content),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def markdown(report: Report, *, verbose: bool = False) -> str:
    """The report as Markdown; text from hosts stays text."""
    content = page(report, verbose=verbose)
    parts = [
        [f"# {clean_markdown(content.title)}"],
        [f"**{clean_markdown(content.headline)}**"],
        [clean_markdown(content.figures)],
        _markdown_list("Needs a person", content.needs_person),
        _markdown_list("Notes", content.notes),
        _markdown_table(content.rows),
        *(_markdown_group(group) for group in content.groups),
        _markdown_list(FLEET, content.fleet),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def show(report: Report, console: Console, *, verbose: bool = False) -> None:
    """Print the report on a terminal, as a table with colours."""
    from rich.table import Table
    from rich.text import Text

    content = page(report, verbose=verbose)
    console.print(Text(clean(content.title)), soft_wrap=True)
    if content.rows:
        table = Table(*COLUMNS, box=None, pad_edge=False, header_style="bold")
        for row in content.rows:
            host, task, _, reason, what = _cells(row)
            table.add_row(Text(host), Text(task), _coloured(row.state), Text(reason), Text(what))
        console.print()
        console.print(table)
    for group in content.groups:
        console.print()
        console.print(Text("\n".join(_plain_group(group))), soft_wrap=True)
    if content.fleet:
        console.print()
        console.print(Text("\n".join(_plain_fleet(content))), soft_wrap=True)
    first, *rest = _ending(content)
    console.print()
    console.print(Text(first, style=STYLES[content.state]), soft_wrap=True)
    console.print(Text("\n".join(rest)), soft_wrap=True)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows in columns of equal width, cells cleaned already."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _coloured(state: State) -> Text:
    from rich.text import Text

    return Text(state.value, style=STYLES[state])


def _cells(row: Row) -> tuple[str, str, str, str, str]:
    return clean(row.host), clean(row.task), row.state.value, row.reason, clean(row.what)


def _plain_group(group: Group) -> list[str]:
    table = [(f"  {line.state.value}", line.action, clean(line.name), clean(line.rest)) for line in group.lines]
    diffs = [text for item, lines in group.diffs for text in (f"  {clean(item)}:", *(f"    {clean(o)}" for o in lines))]
    return [f"{clean(group.host)}, {clean(group.task)}:", *aligned(table), *_more(group), *diffs]


def _plain_fleet(content: Page) -> list[str]:
    return [f"{FLEET}:", *(f"  {clean(line)}" for line in content.fleet)] if content.fleet else []


def _more(group: Group) -> Iterable[str]:
    if group.more:
        yield f"  … and {group.more:,} more; -v lists all"


def _ending(content: Page) -> list[str]:
    needs = [f"  {clean(line)}" for line in content.needs_person]
    notes = [f"  {clean(line)}" for line in content.notes]
    return [
        clean(content.headline),
        clean(content.figures),
        *(["Needs a person:", *needs] if needs else []),
        *(["Notes:", *notes] if notes else []),
    ]


def _markdown_list(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"## {heading}", "", *(f"- {clean_markdown(line)}" for line in lines)] if lines else []


def _markdown_table(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    cells = ((row.host, row.task, row.state.value, row.reason, row.what) for row in rows)
    body = [f"| {' | '.join(clean_markdown(cell) for cell in row)} |" for row in cells]
    return [f"| {' | '.join(column.capitalize() for column in COLUMNS)} |", "|" + " --- |" * len(COLUMNS), *body]


def _markdown_group(group: Group) -> list[str]:
    lines = [
        f"- {line.state.value} {clean_markdown(line.action)} {clean_markdown(line.name)}"
        + (f" ({clean_markdown(line.rest)})" if line.rest else "")
        for line in group.lines
    ]
    diffs = [
        f"- {clean_markdown(item)}: {'; '.join(clean_markdown(line) for line in told)}" for item, told in group.diffs
    ]
    title = f"## {clean_markdown(group.host)}, {clean_markdown(group.task)}"
    return [title, "", *lines, *_markdown_more(group), *diffs]


def _markdown_more(group: Group) -> Iterable[str]:
    if group.more:
        yield f"- … and {group.more:,} more"
