"""`trash`: what was moved to the hosts' trash, read from the hosts, how it comes back, and how it goes for good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from maintenancebot.cli.options import Options

if TYPE_CHECKING:
    from maintenancebot.app import TrashResult
    from maintenancebot.model import Json

SIZES = ("size", "allocated", "stored_bytes")


@click.group("trash")
def trash_group() -> None:
    """List, restore and purge what was moved to the hosts' trash; it is read from the hosts alone."""


@trash_group.command("list")
@click.option("--host", "hosts", metavar="HOST", multiple=True, help="Only this host; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def list_command(options: Options, hosts: tuple[str, ...], as_json: bool) -> None:
    """List the items in the trash of all hosts."""
    from maintenancebot import app
    from maintenancebot.cli.output import write, write_json, write_table
    from maintenancebot.cli.progress import make_progress

    results = app.trash_list(options, hosts, make_progress(options))
    if as_json:
        write_json({"schema": 1, "command": "trash list", "hosts": [_host_to_json(result) for result in results]})
    else:
        rows = [row for result in results for row in _rows(result)]
        write_table([("HOST", "ITEM", "STATE", "SIZE", "WHERE", "CAME", "PURGE FROM", "PATH"), *rows])
        write(_totals(results) + "\n")
    raise click.exceptions.Exit(_exit_code(results))


@trash_group.command("show")
@click.argument("host", metavar="HOST")
@click.argument("item", metavar="ITEM")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def show_command(options: Options, host: str, item: str, as_json: bool) -> None:
    """Show all that is recorded of one item."""
    from maintenancebot import app
    from maintenancebot.cli.output import write_json, write_table
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.errors import UsageError

    results = app.trash_list(options, (host,), make_progress(options))
    found = [one for result in results for one in result.items if one.id == item]
    if not found:
        if _exit_code(results):
            write_table([row for result in results for row in _rows(result)])
            raise click.exceptions.Exit(_exit_code(results))
        raise UsageError(f"{host} has no item {item} in its trash; see `maintenancebot trash list --host {host}`")
    if as_json:
        write_json({"schema": 1, "command": "trash show", **_item_to_json(found[0])})
    else:
        write_table([(key, _told(value, is_size=key in SIZES)) for key, value in asdict(found[0]).items()])


@trash_group.command("restore")
@click.argument("host", metavar="HOST")
@click.argument("item", metavar="ITEM")
@click.option("--to", metavar="PATH", help="Another place on the host than the old one; for a volume another name.")
@click.pass_obj
def restore_command(options: Options, host: str, item: str, to: str | None) -> None:
    """Put a file back as it was; nothing is overwritten."""
    from maintenancebot import app
    from maintenancebot.cli.output import write
    from maintenancebot.model import Reason, State
    from maintenancebot.report.clean import clean
    from maintenancebot.report.exit_code import DONE
    from maintenancebot.report.explain import explain

    outcome = app.trash_restore(options, host, item, to)
    # That it is back was measured; the place says it better than "the effect was measured afterwards".
    why = outcome.detail if outcome.reason is Reason.VERIFIED else explain(outcome.reason, outcome.detail)
    write(clean(f"{host}, {item}: {outcome.state.value}" + (f": {why}" if why else "")) + "\n")
    raise click.exceptions.Exit(DONE if outcome.state is State.DONE else _refused_or_failed(outcome.reason))


@trash_group.command("purge")
@click.option("--host", "hosts", metavar="HOST", multiple=True, help="Only this host; may be repeated.")
@click.option("--item", "items", metavar="ITEM", multiple=True, help="Only this item; may be repeated.")
@click.option("--dry-run", "dry_run", is_flag=True, help="Show what would be deleted; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def purge_command(
    options: Options, hosts: tuple[str, ...], items: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Delete for good what is past its time; nothing brings it back, so look with --dry-run first."""
    from maintenancebot import app
    from maintenancebot.cli.output import write_report
    from maintenancebot.cli.progress import make_progress
    from maintenancebot.cli.stopping import stop_on_signals
    from maintenancebot.report.exit_code import exit_code

    purge = app.trash_purge_dry_run if dry_run else app.trash_purge
    with stop_on_signals() as stop:
        report = purge(options, hosts, items, make_progress(options), stop)
    write_report(report, as_json=as_json, verbose=options.verbose)
    raise click.exceptions.Exit(exit_code(report))


def _refused_or_failed(reason: object) -> int:
    from maintenancebot.model import GUARD_REASONS
    from maintenancebot.report.exit_code import FAILED, REFUSED

    return REFUSED if reason in GUARD_REASONS else FAILED


def _exit_code(results: Sequence[TrashResult]) -> int:
    from maintenancebot.model import State
    from maintenancebot.report.exit_code import DONE, FAILED

    return FAILED if any(result.state in (State.FAILED, State.UNKNOWN) for result in results) else DONE


def _rows(result: TrashResult) -> list[tuple[str, ...]]:
    if not result.items:
        why = ": ".join(part for part in (result.reason.value, result.detail) if part)
        return [(result.host, "-", result.state.value, "-", "-", "-", "-", why or "-")]
    return [
        (
            result.host,
            item.id,
            item.state,
            _told(item.stored_bytes, is_size=True),
            _where(item),
            _told(item.quarantined_at),
            _told(item.purge_after),
            item.path or item.detail,
        )
        for item in result.items
    ]


def _where(item: Any) -> str:
    where = item.offload or item.store
    return f"{where} ({item.form})" if item.form not in ("", "file") else where


def _totals(results: Sequence[TrashResult]) -> str:
    from maintenancebot.report.figures import size

    items = [item for result in results for item in result.items]
    away = len([item for item in items if item.offload])
    said = f"{len(items):,} items, {size(sum(item.stored_bytes for item in items))} on the hosts"
    return said + (f", {away:,} in an object store" if away else "")


def _told(value: Json, *, is_size: bool = False) -> str:
    from maintenancebot.report.figures import size

    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M %Z}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return size(value) if is_size else str(value or "-")


def _host_to_json(result: TrashResult) -> dict[str, Json]:
    return {
        "host": result.host,
        "state": result.state.value,
        "reason": result.reason.value,
        "detail": result.detail,
        "items": [_item_to_json(item) for item in result.items],
    }


def _item_to_json(item: Any) -> dict[str, Json]:
    values = asdict(item)
    return {key: value.isoformat() if isinstance(value, datetime) else value for key, value in values.items()}
