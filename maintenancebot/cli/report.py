"""`report`: an earlier run, told again."""

from __future__ import annotations

import click

from maintenancebot.cli.options import Options
from maintenancebot.model import Report


@click.command("report")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "html", "json", "slack"]),
    default="text",
    show_default=True,
    help="The form of the report.",
)
@click.pass_obj
def report_command(options: Options, run_id: str, form: str) -> None:
    """Show the report of an earlier run; `history` lists the runs."""
    from maintenancebot import app
    from maintenancebot.report.exit_code import exit_code

    report = app.get_report(options, run_id)
    _write(report, form, verbose=options.verbose)
    raise click.exceptions.Exit(exit_code(report))


def _write(report: Report, form: str, *, verbose: bool) -> None:
    from maintenancebot.cli.output import write, write_json, write_report

    if form == "markdown":
        from maintenancebot.report.text import markdown

        write(markdown(report, verbose=verbose))
    elif form == "html":
        from maintenancebot.report.html import run_page

        write(run_page(report, verbose=verbose))
    elif form == "slack":
        from maintenancebot.report.slack import of_report

        write_json(of_report(report).to_json())
    else:
        write_report(report, as_json=form == "json", verbose=verbose)
