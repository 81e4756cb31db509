"""`hosts`: the inventory, whether its hosts can be worked with, and their pinned keys."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from maintenancebot.cli.options import Options

if TYPE_CHECKING:
    from maintenancebot.app import HostKey, Known
    from maintenancebot.model import Json


FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@click.group("hosts", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def hosts_group(ctx: click.Context, as_json: bool) -> None:
    """List the inventory; no host is contacted."""
    if ctx.invoked_subcommand is None:
        _list(ctx.obj, as_json=as_json)
    elif as_json:
        raise click.UsageError(f"put --json behind {ctx.invoked_subcommand}.")


@hosts_group.command("ping")
@click.argument("names", metavar="[HOST]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def ping_command(options: Options, names: tuple[str, ...], as_json: bool) -> None:
    """Log in to hosts and tell root, python, machine-id and clock.

    Without HOST it is all hosts.
    """
    from maintenancebot import app
    from maintenancebot.cli.output import write_json, write_table
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.model import State
    from maintenancebot.report import exit_code

    results = app.ping(options, names, make_progress(options))
    if as_json:
        rows = [
            {
                "host": result.host,
                "state": result.state.value,
                "reason": result.reason.value,
                "detail": result.detail,
                "facts": dict(result.facts),
            }
            for result in results
        ]
        write_json({"schema": 1, "command": "hosts ping", "hosts": rows})
    else:
        heading = ("HOST", "STATE", "REASON", "WHAT")
        told = [(one.host, one.state.value, one.reason.value, one.detail or _facts(one.facts)) for one in results]
        write_table([heading, *told])
    bad = any(result.state in (State.FAILED, State.UNKNOWN) for result in results)
    raise click.exceptions.Exit(exit_code.FAILED if bad else exit_code.DONE)


@hosts_group.command("accept")
@click.argument("source", metavar="SOURCE")
@click.pass_obj
def accept_command(options: Options, source: str) -> None:
    """Take what an inventory source lists now, although it is far less than before."""
    from maintenancebot import app

    count = app.accept(options, source)
    click.echo(f"{source} lists {count} host{'' if count == 1 else 's'}; that is its answer now.")


@hosts_group.command("trust")
@click.argument("name", metavar="HOST")
@click.option("--fingerprint", metavar="SHA256:…", help="Pin without a question if the host shows this fingerprint.")
@click.option("--yes", is_flag=True, help="Pin what the host shows, without a question.")
@click.option("--replace", is_flag=True, help="Accept a changed key, after a reinstallation.")
@click.pass_obj
def trust_command(options: Options, name: str, fingerprint: str | None, yes: bool, replace: bool) -> None:
    """Show the key of HOST and pin it.

    Compare the fingerprint with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the host's console.
    """
    from maintenancebot import app

    if fingerprint is not None and not FINGERPRINT.fullmatch(fingerprint):
        raise click.UsageError("--fingerprint wants SHA256: and 43 characters, as `ssh-keygen -lf` prints it.")
    key = app.host_key(options, name)
    _show_key(key)
    if fingerprint is not None and fingerprint != key.fingerprint_sha256:
        _refuse(f"{name} does not show {fingerprint}; nothing was pinned.")
    if key.known == "changed" and not replace:
        _refuse(
            f"{name} showed {key.known_fingerprint} before; nothing was pinned. "
            "Find out why; after a reinstallation use --replace."
        )
    if key.known != "same" and not (yes or fingerprint):
        _ask()
    app.trust(options, key, replace=replace)
    click.echo(f"{name} is trusted.")


def _list(options: Options, *, as_json: bool) -> None:
    from maintenancebot import app
    from maintenancebot.cli.output import write_json, write_table

    inventory, known = app.fleet(options)
    if as_json:
        rows = [_entry(one) for one in known]
        write_json({"schema": 1, "command": "hosts", "hosts": rows, "notes": list(inventory.notes)})
        return
    write_table([_HEADING, *map(_row, known)])
    for note in inventory.notes:
        click.echo(f"maintenancebot: {note}", err=True)


def _entry(known: Known) -> dict[str, Json]:
    host = known.host
    return {
        "host": host.name,
        "address": host.address,
        "port": host.port,
        "user": host.user,
        "connection": host.connection,
        "groups": list(host.groups),
        "cloud": host.cloud,
        "labels": dict(host.labels),
        "via": host.via,
        "maintenance": host.maintenance,
        "source": host.source,
        "cloud_id": host.cloud_id,
        "stale": host.stale,
        "last_seen": known.last_seen.isoformat() if known.last_seen else None,
        "last_result": known.state.value if known.state else None,
        "last_result_at": known.at or None,
    }


_HEADING = ("HOST", "ADDRESS", "USER", "GROUPS", "VIA", "CLOUD", "MAINTENANCE", "LAST SEEN", "LAST RESULT", "SOURCE")


def _row(known: Known) -> tuple[str, ...]:
    host = known.host
    return (
        host.name,
        "this machine" if host.connection == "local" else f"{host.address}:{host.port}",
        host.user,
        ",".join(host.groups) or "-",
        host.via or "-",
        host.cloud or "-",
        "yes" if host.maintenance else "-",
        f"{known.last_seen:%Y-%m-%d %H:%M} UTC" if known.last_seen else "-",
        known.state.value if known.state else "-",
        host.source or "-",
    )


def _facts(facts: object) -> str:
    if not isinstance(facts, dict):
        return ""
    return ", ".join(_fact(key, value) for key, value in facts.items() if isinstance(value, str | int | float))


def _fact(key: str, value: str | float) -> str:
    if key == "root":
        return "root" if value else "no root"
    if key == "clock_offset":
        seconds = abs(round(float(value), 1))
        return f"clock {seconds} s {'behind' if float(value) < 0 else 'ahead'}" if seconds else "clock right"
    return f"{key} {value}"


def _show_key(key: HostKey) -> None:
    known = {"new": "not pinned yet", "same": "pinned already", "changed": "ANOTHER KEY IS PINNED"}[key.known]
    click.echo(
        f"{key.host} at {key.address}:{key.port} shows the {key.type} key\n  {key.fingerprint_sha256}\n  {known}"
    )


def _ask() -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here; give --fingerprint SHA256:… (or --yes).")
    if not click.confirm("Does the host's console show the same fingerprint?"):
        _refuse("Nothing was pinned.")


def _refuse(message: str) -> None:
    from maintenancebot.report.exit_code import REFUSED

    click.echo(f"maintenancebot: {message}", err=True)
    raise click.exceptions.Exit(REFUSED)
