"""The last result of each task on each host, and what all runs came to: kept so that a restart forgets none of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from maintenancebot.model import HostReport, Json, Reason, Report, State, TaskReport
from maintenancebot.store import Store

KIND = "results"
TOTALS = "totals"
FLEET = ""
"""The host under which the totals stand: no host has this name."""

SUCCESS = frozenset({State.DONE, State.NOTHING})
"""States that prove that a task was looked at and is well; skipped, waiting and unknown prove nothing."""


def keep(report: Report, store: Store) -> None:
    """Remember how this run left each task of each host, and add it to the totals; raises StoreError."""
    at = report.finished_at
    known = store.memories.everywhere(KIND)
    for host in report.hosts:
        if host.reason is not Reason.NOT_SELECTED:
            before = known.get(host.host, {})
            store.memories.keep(host.host, KIND, {**before, **_rows(host, before, at)}, at=at)
    store.memories.keep(FLEET, TOTALS, added(store.memories.read(FLEET, TOTALS), report), at=at)


def forget_others(hosts: Collection[str], store: Store, at: datetime) -> None:
    """Forget the results of hosts that are not of the inventory any more; raises StoreError."""
    for name in set(store.memories.everywhere(KIND)) - set(hosts):
        store.memories.keep(name, KIND, {}, at=at)


def added(totals: Mapping[str, Json], report: Report) -> dict[str, Json]:
    """The totals of all runs with this one: they only grow."""
    tasks = [task for host in report.hosts for task in host.tasks]
    seconds = (report.finished_at - report.started_at).total_seconds()
    grown = {
        "results": _counted(totals.get("results", {}), (f"{task.state} {task.task}" for task in tasks)),
        "changes": _counted(
            totals.get("changes", {}), (f"{one.state} {one.change.action}" for task in tasks for one in task.changes)
        ),
        "runs": _counted(totals.get("runs", {}), [f"{report.state} {report.command}"]),
        "seconds": {**totals.get("seconds", {}), report.command: _number(totals, "seconds", report.command) + seconds},
        "last_seconds": {**totals.get("last_seconds", {}), report.command: seconds},
        "freed": {
            # A run can leave less space than it found; the sum of what was freed is no place to hide that in.
            when: _number(totals, "freed", when) + max(0, int(report.totals.get(f"freed_{when}", 0)))
            for when in ("now", "at_purge")
        },
    }
    return {**totals, **grown}


def _rows(host: HostReport, before: Mapping[str, Json], at: datetime) -> dict[str, Json]:
    """A row for each task; where the host could not be looked at, its reason stands for each task known of it."""
    if host.tasks:
        return {
            task.task: _row(task.state, task.reason, before.get(task.task), at, figures(task)) for task in host.tasks
        }
    return {name: _row(host.state, host.reason, row, at, row["figures"]) for name, row in before.items()}


def _row(state: State, reason: Reason, before: Json, at: datetime, figures: Json) -> dict[str, Json]:
    when = at.isoformat()
    same = before is not None and before["state"] == state.value
    last = before["success_at"] if before is not None else ""
    return {
        "state": state.value,
        "reason": reason.value,
        "at": when,
        "since": before["since"] if same else when,
        "success_at": when if state in SUCCESS else last,
        "figures": figures,
    }


def figures(task: TaskReport) -> dict[str, Json]:
    """What a task tells of a host beyond its state: updates that are due, and when its first certificate ends."""
    told: dict[str, Json] = {}
    due = task.facts.get("due")
    if isinstance(due, int):
        told["due"] = due
    ends = [str(row["not_after"]) for row in _certificates(task) if row.get("not_after")]
    if ends:
        told["first_end"] = min(ends)
    return told


def _certificates(task: TaskReport) -> Iterable[Mapping[str, Json]]:
    rows = task.facts.get("certificates")
    return [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list | tuple) else []


def _counted(before: Mapping[str, int], words: Iterable[str]) -> dict[str, int]:
    counted = dict(before)
    for word in words:
        counted[word] = counted.get(word, 0) + 1
    return counted


def _number(totals: Mapping[str, Json], group: str, key: str) -> Json:
    return totals.get(group, {}).get(key, 0)
