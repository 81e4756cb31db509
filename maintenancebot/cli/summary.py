"""`summary`: the week in facts, first what needs a person; shown, or posted to those who are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from maintenancebot.cli.options import Options

if TYPE_CHECKING:
    from maintenancebot.app import Told


@click.command("summary")
@click.option("--week", metavar="W", default="", help="Which week, as ISO names it: 2026-W47.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html", "json", "slack"]),
    default="text",
    show_default=True,
    help="The form of the summary.",
)
@click.option("--post", is_flag=True, help="Post it to everybody who is told, once for a week that is over.")
@click.pass_obj
def summary_command(options: Options, week: str, form: str, post: bool) -> None:
    """Tell a week: what needs a person, figures, what changed, disks, every host.

    Without --week it is the week in which most of the last seven days lie. Without --post nothing is written.
    """
    from maintenancebot import app
    from maintenancebot.cli.output import write
    from maintenancebot.report.exit_code import exit_code_of_week

    told = app.post_summary(options, week) if post else app.summary(options, week)
    for note in told.notes:
        click.echo(f"maintenancebot: {note}", err=True)
    write(_FORMS[form](told))
    raise click.exceptions.Exit(exit_code_of_week(told.week))


def _text(told: Told) -> str:
    from maintenancebot.report.week_text import text

    return text(told.week, told.prose)


def _markdown(told: Told) -> str:
    from maintenancebot.report.week_markdown import markdown

    return markdown(told.week, told.prose)


def _html(told: Told) -> str:
    from maintenancebot.report.html import week_page

    return week_page(told.week, told.prose)


def _json(told: Told) -> str:
    from maintenancebot.report.document import dump_json
    from maintenancebot.report.week_json import week_to_json

    posted = told.posted_at.isoformat() if told.posted_at else None
    return dump_json({**week_to_json(told.week), "prose": told.prose, "posted_at": posted}) + "\n"


def _slack(told: Told) -> str:
    from maintenancebot.report.document import dump_json
    from maintenancebot.report.slack import of_week

    return dump_json([payload.to_json() for payload in of_week(told.week, told.prose)]) + "\n"


_FORMS: dict[str, Callable[[Told], str]] = {
    "text": _text,
    "markdown": _markdown,
    "html": _html,
    "json": _json,
    "slack": _slack,
}
