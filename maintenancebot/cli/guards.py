"""`stop`, `resume`, `approvals`, `breakers` and `budget`: what a person decides about changes."""

from __future__ import annotations

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
    problem = app.stop(options, reason, app.person())
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
        store.guard.resume(app.person(), at=app.now())
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
            row["requested_by"],
            ",".join(row["hosts"]),
            f"{row['changes']} ({row['used']} used)",
            f"{approval.expires_at:%Y-%m-%d %H:%M} UTC",
            row["decided_by"] or "-",
        )
        for approval, row in zip(found, rows, strict=True)
    ]
    write_table([("PLAN", "STATE", "RUN", "ASKED BY", "HOSTS", "CHANGES", "EXPIRES", "DECIDED BY"), *table])


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


@click.group("breakers", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def breakers_group(ctx: click.Context, as_json: bool) -> None:
    """List the circuit breakers that count something; closed ones without a failure are not there."""
    if ctx.invoked_subcommand is None:
        _list_breakers(ctx.obj, as_json=as_json)


@breakers_group.command("reset")
@click.argument("scope", required=False, type=click.Choice(["host", "rule", "group", "fleet"]))
@click.argument("name", required=False)
@click.pass_obj
def reset_command(options: Options, scope: str | None, name: str | None) -> None:
    """Close all circuit breakers, or the one of this SCOPE and NAME; what they counted is forgotten."""
    from maintenancebot import app
    from maintenancebot.errors import UsageError
    from maintenancebot.policy.breakers import FLEET, Key, Scope

    if scope not in (None, "fleet") and name is None:
        raise click.UsageError(f"write which {scope}, such as `breakers reset {scope} NAME`.")
    wanted = None if scope is None else [Key(Scope(scope), name or FLEET)]
    with app.state(options, write=True) as store:
        closed = store.breakers.reset(wanted, app.person(), at=app.now())
    if wanted is not None and not closed:
        raise UsageError(f"no breaker of {scope} {name or FLEET} counts anything; see `maintenancebot breakers`")
    click.echo("\n".join(f"Closed: {key.scope.value} {key.name}" for key in closed) or "All breakers were closed.")


@click.command("budget")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def budget_command(options: Options, as_json: bool) -> None:
    """Say how many changes, tokens and dollars of the model were used, and how many are left."""
    from maintenancebot import app
    from maintenancebot.cli.output import write_json, write_table
    from maintenancebot.settings import load_settings

    settings = load_settings(options.config)
    limits = settings.guards
    with app.state(options) as store:
        hour, day = store.intents.spent(at=app.now())
        used = store.spending.used(app.now())
    rows = [
        {"span": span, "changes": spent, "limit": limit, "left": max(0, limit - spent)}
        for span, spent, limit in (("hour", hour, limits.actions_per_hour), ("day", day, limits.actions_per_day))
    ]
    model = _model_rows(settings.llm, used) if settings.llm else []
    if as_json:
        write_json({"schema": 1, "command": "budget", "budgets": rows, "model": model})
        return
    write_table([("SPAN", "CHANGES", "LIMIT", "LEFT"), *(tuple(map(str, row.values())) for row in rows)])
    if model:
        click.echo()
        titles = ("SPAN", "TOKENS", "LIMIT", "LEFT", "DOLLARS", "LIMIT", "LEFT")
        write_table([titles, *(tuple(map(_shown, row.values())) for row in model)])


def _shown(value: str | float | None) -> str:
    """A cell of the budget; a millionth of a dollar is 0.000001, not 1e-06."""
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").removesuffix(".")
    return "-" if value is None else str(value)


def _model_rows(rules: Any, used: Any) -> list[dict[str, Any]]:
    """Tokens and dollars by span; dollars are exact to the millionth."""
    from maintenancebot.policy.spending import MICRO, caps_of, left

    rows, rest = [], left(rules.caps, used)
    for span, most in caps_of(rules.caps).items():
        tokens = {"tokens": used[span].tokens, "tokens_limit": most.tokens, "tokens_left": rest[span].tokens}
        dollars = {"dollars_limit": most.cost, "dollars_left": rest[span].cost}
        known = {name: None if cost is None else cost / MICRO for name, cost in dollars.items()}
        rows.append({"span": span, **tokens, "dollars": used[span].dollars, **known})
    return rows


def _list_breakers(options: Options, *, as_json: bool) -> None:
    from maintenancebot import app
    from maintenancebot.cli.output import write_json, write_table

    now = app.now()
    with app.state(options) as store:
        found = store.breakers.all()
    rows = [
        {
            "scope": key.scope.value,
            "name": key.name,
            "state": one.state(now).value,
            "failures": one.failures,
            "open_until": one.open_until.isoformat() if one.open_until else None,
            "trial": one.tries(now),
        }
        for key, one in sorted(found.items(), key=lambda item: (item[0].scope, item[0].name))
    ]
    if as_json:
        write_json({"schema": 1, "command": "breakers", "breakers": rows})
        return
    keys = ("scope", "name", "state", "failures", "open_until", "trial")
    table = [tuple(str(row[key] or "-") for key in keys) for row in rows]
    write_table([("SCOPE", "NAME", "STATE", "FAILURES", "OPEN UNTIL", "TRIED BY"), *table])


def _decide(options: Options, digest: str, *, approve: bool) -> None:
    from maintenancebot import app

    decided = app.decide(options, digest, approve=approve)
    click.echo(f"Plan {decided.digest[:12]} is {decided.state}.")


def _approval_to_json(approval: Any, now: Any) -> dict[str, Any]:
    return {
        "digest": approval.digest,
        "state": approval.state_at(now).value,
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
