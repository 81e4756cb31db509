"""`check` and `schema`: what a configuration and an inventory mean, before anything is done with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

import click

from maintenancebot.inventory import Inventory, declared
from maintenancebot.model import Host
from maintenancebot.policy import slots
from maintenancebot.settings import Settings, baseline_schema, json_schema

RUNS = 3
NAMES = {
    slots.CYCLE: "the cycle",
    slots.CERTIFICATES: "the look at certificates",
    slots.PURGE: "the purge of the trash",
    slots.SUMMARY: "the summary of the week",
}


@click.command("check")
@click.pass_context
def check_command(context: click.Context) -> None:
    """Validate configuration and inventory, and say the next runs; the inventory's sources are asked."""
    from maintenancebot import app

    loaded = app.load(context.obj)
    for line in (*describe(loaded.settings, loaded.inventory), *describe_runs(loaded.settings, app.now())):
        click.echo(line)
    for note in (*loaded.inventory.notes, *_undeclared(loaded.settings, loaded.inventory)):
        click.echo(f"maintenancebot: {note}", err=True)


@click.command("schema")
@click.option("--baseline", is_flag=True, help="That of a baseline instead.")
def schema_command(baseline: bool) -> None:
    """Print the JSON Schema of the configuration, for editors."""
    click.echo(json.dumps(baseline_schema() if baseline else json_schema(), indent=2))


def describe(settings: Settings, inventory: Inventory) -> Iterator[str]:
    """What was found: hosts by group, and each task with its hosts."""
    yield f"Configuration {settings.name!r}: {_count(len(settings.tasks), 'task')}"
    yield f"Inventory: {_count(len(inventory.hosts), 'host')}"
    for group, hosts in inventory.groups().items():
        yield f"  group {group}: {_count(len(hosts), 'host')}"
    yield "Tasks:"
    for task in settings.tasks:
        hosts = inventory.select(task.hosts)
        yield f"  {task.name} ({task.type}, approval {task.approval}): {_named(hosts, inventory)}"
    for baseline in settings.baselines.files:
        items = _count(len(baseline.entries), "item")
        yield f"Baseline {baseline.name}: {items} for {_named(inventory.select(baseline.hosts), inventory)}"


def _undeclared(settings: Settings, inventory: Inventory) -> Iterator[str]:
    """Hosts of sources for which a baseline cannot be filled in; those of the file are faults already."""
    for name, state in declared(settings, inventory, inventory.hosts).items():
        yield from (f"{name} is not held against its declared state: {fault}" for fault in state.faults)


def describe_runs(settings: Settings, now: datetime) -> Iterator[str]:
    """The next runs of each schedule, with weekday, local time, zone and offset, and what would hinder each."""
    if settings.schedule is None:
        yield "Next runs of the cycle: none, there is no `schedule`"
    coming = slots.coming(settings, now, RUNS)
    for name, expression in slots.schedules(settings).items():
        yield f"Next runs of {NAMES[name]} ({expression}, {settings.timezone}), kept by `maintenancebot daemon`:"
        for run in (one for one in coming if one.schedule == name):
            yield f"  {run}" + (f", changes nothing: {run.hindrance}" if run.hindrance else "")


def _named(hosts: tuple[Host, ...], inventory: Inventory) -> str:
    if len(hosts) == len(inventory.hosts):
        return f"all {_count(len(hosts), 'host')}" if len(hosts) > 1 else hosts[0].name
    names = ", ".join(host.name for host in hosts[:5])
    return f"{_count(len(hosts), 'host')}: {names}" + (", …" if len(hosts) > 5 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
