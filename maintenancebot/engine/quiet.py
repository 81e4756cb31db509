"""Patterns that match nothing, week after week: a typing error, or a log that has moved. Told, never acted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from maintenancebot.model import HostReport
from maintenancebot.store import Store

WEEKS = 3
LOOKED_AT = 60
"""Earlier runs that are looked at; a daily cycle has about twenty in these weeks."""

Pattern = tuple[str, str]
"""Task and glob."""


def notes(hosts: Sequence[HostReport], store: Store, now: datetime) -> list[str]:
    """One line for each pattern that matched nothing on any host in this run and in all runs of the last weeks."""
    quiet = _quiet(_counts(_matches(hosts)))
    since = now - timedelta(weeks=WEEKS)
    old: set[Pattern] = set()  # those that were looked for already at the beginning of these weeks
    for run in store.runs.latest(LOOKED_AT) if quiet else []:
        if run.command != "run" or run.finished_at is None:
            continue
        counts = _counts(_matches_of_document(store, run.id))
        quiet -= {pattern for pattern, count in counts.items() if count}
        if run.started_at <= since:
            old = set(counts)
            break
    return [f"{task}: {path} matched nothing on any host for {WEEKS} weeks" for task, path in sorted(quiet & old)]


def _counts(matches: Iterator[tuple[Pattern, int]]) -> dict[Pattern, int]:
    counts: dict[Pattern, int] = {}
    for pattern, count in matches:
        counts[pattern] = counts.get(pattern, 0) + count
    return counts


def _quiet(counts: Mapping[Pattern, int]) -> set[Pattern]:
    return {pattern for pattern, count in counts.items() if not count}


def _matches(hosts: Sequence[HostReport]) -> Iterator[tuple[Pattern, int]]:
    for host in hosts:
        for task in host.tasks:
            yield from _rows(task.task, task.facts.get("patterns"))


def _matches_of_document(store: Store, run_id: str) -> Iterator[tuple[Pattern, int]]:
    stored = store.runs.get(run_id)
    for host in (stored.report or {}).get("hosts", ()) if stored else ():
        for task in host["tasks"]:
            yield from _rows(str(task["task"]), task["facts"].get("patterns"))


def _rows(task: str, rows: object) -> Iterator[tuple[Pattern, int]]:
    for row in rows if isinstance(rows, list | tuple) else ():
        yield (task, str(row["path"])), int(row["matched"])
