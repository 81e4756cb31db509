"""`report`: an earlier run, told again."""

from __future__ import annotations

import click

from maintenancebot.cli.options import Options


@click.command("report")
@click.argument("run_id", metavar="RUN")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json"]),
    default="text",
    show_default=True,
    help="The form of the report.",
)
@click.pass_obj
def report_command(options: Options, run_id: str, form: str) -> None:
    """Show the report of an earlier run; `history` lists the runs."""
    from maintenancebot import app
    from maintenancebot.cli.output import write, write_report
    from maintenancebot.report.exit_code import exit_code
    from maintenancebot.report.text import markdown

    report = app.get_report(options, run_id)
    if form == "markdown":
        write(markdown(report, verbose=options.verbose))
    else:
        write_report(report, as_json=form == "json", verbose=options.verbose)
    raise click.exceptions.Exit(exit_code(report))
