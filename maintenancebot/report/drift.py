"""Declared items across the fleet: which hosts are otherwise than the others, the odd one out first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from maintenancebot.model import HostReport, Json, State, TaskReport, TaskType

KEY = "drift"
"""Of the fleet view in a report's totals."""

SHOWN = 20
NAMED_HOSTS = 5

KINDS = ("drifted", "contested", "corrected", "unreadable", "explained")
"""Lists of rows in a task's facts."""


def fleet(hosts: Sequence[HostReport], declared: Mapping[str, Sequence[str]]) -> list[dict[str, Json]]:
    """A row for each item that differs somewhere; `declared` has the items of each host.

    Hosts with the same value stand together, the smallest group first; the item of which the fewest hosts differ, too.
    """
    compared = {host.host: task for host in hosts for task in host.tasks if task.type is TaskType.DRIFT and task.facts}
    counts: dict[str, int] = {}
    for host, task in compared.items():
        for item in set(declared.get(host, ())) - set(task.facts.get("not_applicable", ())):
            counts[item] = counts.get(item, 0) + 1
    groups: dict[str, dict[str, dict[str, Json]]] = {}
    for host, task in compared.items():
        for kind, row in _differing(task):
            value = {"state": row["state"], "found": {key: row["found"].get(key) for key in row["differs"]}}
            by = row["explained"].get("by", "")
            key = json.dumps([kind, by, value], sort_keys=True)
            group = groups.setdefault(row["item"], {}).setdefault(
                key, {**value, "as": kind, "explained": by, "hosts": []}
            )
            group["hosts"].append(host)
    rows = [_row(item, list(found.values()), counts.get(item, 0)) for item, found in groups.items()]
    return sorted(rows, key=_oddness)


def lines(totals: Mapping[str, Json], *, verbose: bool) -> Iterator[str]:
    """The fleet view in words, of what is declared on several hosts; cleaning is for who shows it."""
    rows = [row for row in totals.get(KEY, ()) if row["hosts"] > 1]
    shown = rows if verbose else rows[:SHOWN]
    yield from (_line(row) for row in shown)
    if len(rows) > len(shown):
        yield f"… and {len(rows) - len(shown):,} more; -v lists all"


def _differing(task: TaskReport) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """The rows of what is otherwise than declared now; what was corrected and measured is not."""
    made = {change.change.name for change in task.changes if change.state is State.DONE}
    for kind, row in _rows(task):
        if row["item"] not in made:
            yield kind, row


def _rows(task: TaskReport) -> Iterator[tuple[str, Mapping[str, Json]]]:
    """All that differs; of what is beyond the rows of a host only the item and how it differs is known."""
    for kind in KINDS:
        for row in task.facts.get(kind, ()):
            yield kind, row
    for short in task.facts.get("beyond", ()):
        yield short["as"], {"differs": (), "found": {}, **short}


def _row(item: str, groups: list[dict[str, Json]], compared: int) -> dict[str, Json]:
    differing = sum(len(group["hosts"]) for group in groups)
    ordered = sorted(groups, key=lambda group: (group["as"] == "explained", len(group["hosts"]), group["hosts"]))
    return {"item": item, "hosts": compared, "as_declared": compared - differing, "others": ordered}


def _oddness(row: Mapping[str, Json]) -> tuple[bool, float, int, str]:
    """What nothing explains first; then the item of which the smallest share of its hosts differs."""
    explained = all(group["as"] == "explained" for group in row["others"])
    differing = row["hosts"] - row["as_declared"]
    return explained, differing / max(row["hosts"], 1), -row["hosts"], row["item"]


def _line(row: Mapping[str, Json]) -> str:
    said = "; ".join(f"{_named(group['hosts'])} {_how(group)}" for group in row["others"])
    return f"{row['item']}: {row['hosts'] - row['as_declared']} of {row['hosts']} hosts differ: {said}"


def _how(group: Mapping[str, Json]) -> str:
    keys = ", ".join(group["found"])
    how = f"differs in {keys}" if group["state"] == "differs" and keys else str(group["state"]).replace("_", " ")
    return f"({how}{_EXTRA[group['as']].format(by=group['explained'])})"


_EXTRA = {
    "drifted": "",
    "contested": ", contested",
    "corrected": ", to be corrected",
    "unreadable": "",
    "explained": ", explained: {by}",
}


def _named(hosts: Sequence[str]) -> str:
    more = len(hosts) - NAMED_HOSTS
    named = ", ".join(hosts[:NAMED_HOSTS])
    return f"{named} and {more:,} more" if more > 0 else named
