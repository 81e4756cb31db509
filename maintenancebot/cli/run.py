"""`dry-run` and `run`: the weekly cycle, before the gate's end and all the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from maintenancebot.cli.options import Options

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that narrow the fleet and the tasks."""
    options: list[Decorator] = [
        click.option("--host", "hosts", metavar="HOST", multiple=True, help="Only this host; may be repeated."),
        click.option("--group", "groups", metavar="GROUP", multiple=True, help="Only this group; may be repeated."),
        click.option("--task", "tasks", metavar="TASK", multiple=True, help="Only this task; may be repeated."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command("dry-run")
@selection
@click.option("--refresh", is_flag=True, help="Renew the hosts' package lists first, as a run does.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Write the plan to FILE for `run --plan`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def dry_run_command(
    options: Options,
    hosts: tuple[str, ...],
    groups: tuple[str, ...],
    tasks: tuple[str, ...],
    refresh: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show what a run would do, and change nothing.

    Without a configuration the bundled one applies: five tasks on this machine.
    """
    from maintenancebot import app
    from maintenancebot.cli import plan_file
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.cli.stopping import stop_on_signals

    if out is not None:
        plan_file.check_place(out)
    with stop_on_signals() as stop:
        report, plan = app.dry_run(
            options,
            hosts=hosts,
            groups=groups,
            tasks=tasks,
            refresh=refresh,
            progress=make_progress(options),
            stop=stop,
        )
        if out is not None:
            plan_file.write(plan, out)
    _end(options, report, as_json=as_json)


@click.command("run")
@selection
@click.option("--plan", "plan", metavar="FILE", type=click.Path(path_type=Path), help="Do exactly this plan.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def run_command(
    options: Options,
    hosts: tuple[str, ...],
    groups: tuple[str, ...],
    tasks: tuple[str, ...],
    plan: Path | None,
    as_json: bool,
) -> None:
    """Run the cycle now: probe, plan, gate, apply, verify, report.

    With --plan exactly the objects of that plan are changed, or the run is refused.
    """
    from maintenancebot import app
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.cli.stopping import stop_on_signals

    if plan is not None and (hosts or groups or tasks):
        raise click.UsageError("--plan does exactly what the plan lists; leave out --host, --group and --task.")
    with stop_on_signals() as stop:
        report = app.run(
            options,
            hosts=hosts,
            groups=groups,
            tasks=tasks,
            plan_file=plan,
            progress=make_progress(options),
            stop=stop,
        )
    _end(options, report, as_json=as_json)


def _end(options: Options, report: Any, *, as_json: bool) -> NoReturn:
    from maintenancebot.cli.output import write_report
    from maintenancebot.report.exit_code import exit_code

    write_report(report, as_json=as_json, verbose=options.verbose)
    raise click.exceptions.Exit(exit_code(report))
