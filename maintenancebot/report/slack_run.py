"""The report of one run as a message for Slack: the verdict, what needs a person, the figures, then the table."""

from __future__ import annotations

from maintenancebot.model import Report
from maintenancebot.report.page import Row, page
from maintenancebot.report.slack_blocks import SYMBOLS, Block, Draft, Payload, context, header, heading, lines
from maintenancebot.report.text import FLEET
from maintenancebot.report.week_lines import SEVERITY

LINE = 400
"""Characters of one line of a list."""


def of_report(report: Report) -> Payload:
    """One message, in which what needs a person comes first and is the last thing to be shortened."""
    content = page(report, verbose=False)
    draft = Draft()
    draft.add(header(f"{SYMBOLS[content.state]} {content.headline}"), context(_short(content.title)))
    draft.add(*lines([_short(content.figures)]))
    _part(draft, "Needs a person", list(content.needs_person))
    _part(draft, "Hosts", [_row(row) for row in sorted(content.rows, key=lambda row: SEVERITY.index(row.state))])
    _part(draft, FLEET, list(content.fleet))
    _part(draft, "Notes", list(content.notes))
    return draft.payload(". ".join([content.headline, *content.needs_person]))


def _part(draft: Draft, title: str, texts: list[str]) -> None:
    top: Block = heading(title)
    if texts and draft.add(top, keep=lines([_short(texts[0])])):
        draft.add_lines([_short(text) for text in texts])


def _row(row: Row) -> str:
    told = "; ".join(part for part in (row.reason, row.what) if part)
    return f"{SYMBOLS[row.state]} {row.host}, {row.task}: {row.state.value}" + (f": {told}" if told else "")


def _short(text: str) -> str:
    return text if len(text) <= LINE else f"{text[: LINE - 1]}…"
