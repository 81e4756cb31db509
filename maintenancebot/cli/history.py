"""`history` and `audit`: what was run, and whether the record of it is whole."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from maintenancebot.cli.options import Options


@click.command("history")
@click.option(
    "--limit", metavar="N", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many runs."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def history_command(options: Options, limit: int, as_json: bool) -> None:
    """List the runs, newest first; `report RUN` tells one in full."""
    from maintenancebot import app
    from maintenancebot.cli.output import write_json, write_table

    with app.state(options) as store:
        runs = store.runs.latest(limit)
    if as_json:
        write_json({"schema": 1, "command": "history", "runs": [_run_to_json(run) for run in runs]})
    else:
        write_table([("RUN", "COMMAND", "STARTED", "TOOK", "STATE", "CHANGES"), *(_cells(run) for run in runs)])


@click.group("audit")
def audit_group() -> None:
    """Check the audit log: what was intended and what became of it."""


@audit_group.command("verify")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def verify_command(options: Options, as_json: bool) -> None:
    """Check the hash chain of the audit log; code 1 when it is broken.

    Compare the head with a copy kept on another machine: it changes with every row.
    """
    from dataclasses import asdict

    from maintenancebot import app
    from maintenancebot.cli.output import write, write_json
    from maintenancebot.report import exit_code

    with app.state(options) as store:
        verdict = store.audit.verify()
    if as_json:
        write_json({"schema": 1, "command": "audit verify", **asdict(verdict)})
    elif verdict.ok:
        write(f"The audit log is whole: {verdict.rows} rows, head {verdict.head}\n")
    else:
        write(f"The audit log is broken at row {verdict.first_bad_seq}: {verdict.problem}\n")
    raise click.exceptions.Exit(exit_code.DONE if verdict.ok else exit_code.FAILED)


def _run_to_json(run: Any) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "command": run.command,
        "configuration": run.configuration,
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
        "state": run.state.value if run.state else None,
        "totals": run.totals or {},
    }


def _cells(run: Any) -> tuple[str, ...]:
    changes = (run.totals or {}).get("changes", {})
    return (
        run.id,
        run.command,
        f"{run.started_at:%Y-%m-%d %H:%M:%S} UTC",
        _took(run.started_at, run.finished_at),
        run.state.value if run.state else "unfinished",
        ", ".join(f"{count} {state}" for state, count in changes.items()) or "-",
    )


def _took(started: datetime, finished: datetime | None) -> str:
    if finished is None:
        return "-"
    minutes, seconds = divmod(round((finished - started).total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
