"""`drift`: hosts held against their declared state, corrected, and what a person lets them differ in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import click

from maintenancebot.cli.options import Options

if TYPE_CHECKING:
    from maintenancebot.app import Given
    from maintenancebot.model import Json, Report


@click.group("drift")
def drift_group() -> None:
    """Hold hosts against their declared state, correct them, accept a difference, capture a good host."""


@drift_group.command("scan")
@click.option("--host", "hosts", metavar="HOST", multiple=True, help="Only this host; may be repeated.")
@click.option("--group", "groups", metavar="GROUP", multiple=True, help="Only this group; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def scan_command(options: Options, hosts: tuple[str, ...], groups: tuple[str, ...], as_json: bool) -> None:
    """Hold hosts against their declared state and show what would be corrected; changes nothing."""
    from maintenancebot import app
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.cli.stopping import stop_on_signals
    from maintenancebot.settings import DRIFT

    with stop_on_signals() as stop:
        report, _ = app.dry_run(
            options,
            hosts=hosts,
            groups=groups,
            tasks=(DRIFT,),
            progress=make_progress(options),
            stop=stop,
            command="drift scan",
        )
    _end(options, report, as_json=as_json)


@drift_group.command("correct")
@click.option("--host", "hosts", metavar="HOST", multiple=True, help="Only this host; may be repeated.")
@click.option("--group", "groups", metavar="GROUP", multiple=True, help="Only this group; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def correct_command(options: Options, hosts: tuple[str, ...], groups: tuple[str, ...], as_json: bool) -> None:
    """Correct what the baselines allow to be corrected, through the same guards as a run."""
    from maintenancebot import app
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.cli.stopping import stop_on_signals
    from maintenancebot.settings import DRIFT

    with stop_on_signals() as stop:
        report = app.run(
            options,
            hosts=hosts,
            groups=groups,
            tasks=(DRIFT,),
            progress=make_progress(options),
            stop=stop,
            command="drift correct",
        )
    _end(options, report, as_json=as_json)


@drift_group.command("accept")
@click.option("--host", "hosts", metavar="HOST", multiple=True, required=True, help="The host; may be repeated.")
@click.option("--item", metavar="ITEM", required=True, help='The item as reports name it, such as "file:/etc/motd".')
@click.option("--until", metavar="TIME", required=True, help='"7d", "12h", "2w", a day, or a day and a time.')
@click.option("--reason", metavar="TEXT", required=True, help="Why; shown in every report.")
@click.pass_obj
def accept_command(options: Options, hosts: tuple[str, ...], item: str, until: str, reason: str) -> None:
    """Let an item differ on a host until a time: it is neither reported as drift nor corrected before."""
    from maintenancebot import app
    from maintenancebot.cli.output import write

    for one in app.drift_accept(options, hosts, item, until, reason):
        write(f"{one.host}: {one.item} may differ until {one.until:%A %Y-%m-%d %H:%M} UTC\n")


@drift_group.command("allowances")
@click.option("--host", "hosts", metavar="HOST", multiple=True, help="Only this host; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def allowances_command(options: Options, hosts: tuple[str, ...], as_json: bool) -> None:
    """List what hosts may differ in now, and until when."""
    from maintenancebot import app
    from maintenancebot.cli.output import write, write_json, write_table

    found = app.drift_allowances(options, hosts)
    if as_json:
        write_json({"schema": 1, "command": "drift allowances", "allowances": [_to_json(one) for one in found]})
    elif not found:
        write("No allowance holds.\n")
    else:
        write_table([("HOST", "ITEM", "UNTIL", "BY", "REASON"), *_rows(found)])


@drift_group.command("revoke")
@click.option("--host", "hosts", metavar="HOST", multiple=True, required=True, help="The host; may be repeated.")
@click.option("--item", metavar="ITEM", required=True, help="The item of the allowance.")
@click.pass_obj
def revoke_command(options: Options, hosts: tuple[str, ...], item: str) -> None:
    """Take an allowance back before its time."""
    from maintenancebot import app
    from maintenancebot.cli.output import write

    for host in app.drift_revoke(options, hosts, item):
        write(f"{host}: {item} may not differ any more\n")


@drift_group.command("capture")
@click.argument("host", metavar="HOST")
@click.pass_obj
def capture_command(options: Options, host: str) -> None:
    """Print a baseline of what HOST is now, for a person to trim; contents of files never leave the host."""
    from maintenancebot import app
    from maintenancebot.cli.output import write
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.model import State
    from maintenancebot.report.clean import clean
    from maintenancebot.report.exit_code import DONE, FAILED
    from maintenancebot.report.explain import explain

    result, text = app.drift_capture(options, host, make_progress(options))
    if result.captured:
        write(text)
    if result.state is State.DONE and not result.detail:
        raise click.exceptions.Exit(DONE)
    why = explain(result.reason, result.detail)
    state = "not all could be seen" if result.state is State.DONE else result.state.value
    click.echo(clean(f"maintenancebot: {host}: {state}: {why}"), err=True)
    raise click.exceptions.Exit(FAILED)


def _end(options: Options, report: Report, *, as_json: bool) -> NoReturn:
    from maintenancebot.cli.output import write_report
    from maintenancebot.report.exit_code import exit_code

    write_report(report, as_json=as_json, verbose=options.verbose)
    raise click.exceptions.Exit(exit_code(report))


def _rows(found: Sequence[Given]) -> list[tuple[str, ...]]:
    return [(one.host, one.item, f"{one.until:%Y-%m-%d %H:%M} UTC", one.by, one.reason) for one in found]


def _to_json(given: Given) -> dict[str, Json]:
    return {
        "host": given.host,
        "item": given.item,
        "until": given.until.isoformat(),
        "by": given.by,
        "reason": given.reason,
        "at": given.at.isoformat(),
    }
