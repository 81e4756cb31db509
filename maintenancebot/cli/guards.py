"""`stop`, `resume` and `approvals`: what a person decides about changes."""

from __future__ import annotations

import os
import pwd
from typing import Any

import click

from maintenancebot.cli.options import Options


@click.command("stop")
@click.option("--reason", metavar="TEXT", required=True, help="Why; shown in every report until `resume`.")
@click.pass_obj
def stop_command(options: Options, reason: str) -> None:
    """Stop all changes at once, on every host, until `resume`; what is in hand is finished.

    It also works without a usable configuration or database.
    """
    from maintenancebot import app

    if not reason.strip():
        raise click.UsageError("--reason must say why.")
    problem = app.stop(options, reason, person())
    click.echo("Stopped: nothing is changed until `maintenancebot resume`.")
    if problem:
        click.echo(f"Only the stop file was written, not the database: {problem}", err=True)


@click.command("resume")
@click.pass_obj
def resume_command(options: Options) -> None:
    """Let changes be made again."""
    from maintenancebot import app
    from maintenancebot.report import exit_code

    with app.state(options, write=True) as store:
        before = store.guard.stopped()
        store.guard.resume(person(), at=app.now())
        still = store.guard.stopped()
    if still is not None:
        click.echo(f"Still stopped: {still.reason}; that file is not ours to remove: remove it by hand", err=True)
        raise click.exceptions.Exit(exit_code.REFUSED)
    click.echo(f"Resumed; {before.by} had stopped it: {before.reason}" if before else "Nothing was stopped.")


@click.group("approvals")
def approvals_group() -> None:
    """Decide about plans that wait for a person."""


@approvals_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def list_command(options: Options, as_json: bool) -> None:
    """List the newest requests, newest first."""
    from maintenancebot import app
    from maintenancebot.cli.output import write_json, write_table

    now = app.now()
    with app.state(options) as store:
        found = store.approvals.latest()
    rows = [_approval_to_json(approval, now) for approval in found]
    if as_json:
        write_json({"schema": 1, "command": "approvals list", "approvals": rows})
        return
    table = [
        (
            row["digest"][:12],
            row["state"],
            row["run_id"],
            ",".join(row["hosts"]),
            f"{row['changes']} ({row['used']} used)",
            f"{approval.expires_at:%Y-%m-%d %H:%M} UTC",
            row["decided_by"] or "-",
        )
        for approval, row in zip(found, rows, strict=True)
    ]
    write_table([("PLAN", "STATE", "RUN", "HOSTS", "CHANGES", "EXPIRES", "BY"), *table])


@approvals_group.command("approve")
@click.argument("digest", metavar="PLAN")
@click.pass_obj
def approve_command(options: Options, digest: str) -> None:
    """Allow the next run to make exactly the changes of this plan, each once."""
    _decide(options, digest, approve=True)


@approvals_group.command("deny")
@click.argument("digest", metavar="PLAN")
@click.pass_obj
def deny_command(options: Options, digest: str) -> None:
    """Refuse this plan."""
    _decide(options, digest, approve=False)


def person() -> str:
    """Who is at the keyboard, behind sudo too."""
    if os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        return os.environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _decide(options: Options, digest: str, *, approve: bool) -> None:
    from maintenancebot import app

    with app.state(options, write=True) as store:
        decided = store.approvals.decide(digest, approve=approve, by=person(), at=app.now())
    click.echo(f"Plan {decided.digest[:12]} is {decided.state}.")


def _approval_to_json(approval: Any, now: Any) -> dict[str, Any]:
    expired = now >= approval.expires_at and approval.state != "denied"
    return {
        "digest": approval.digest,
        "state": "expired" if expired else approval.state.value,
        "run_id": approval.run_id,
        "hosts": list(approval.hosts),
        "changes": len(approval.changes),
        "used": sum(used is not None for used in approval.changes.values()),
        "requested_by": approval.requested_by,
        "requested_at": approval.requested_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
        "decided_by": approval.decided_by,
        "decided_at": approval.decided_at.isoformat() if approval.decided_at else None,
    }
