"""The facts of a week, put together: what needs a person, what changed, every host, every figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from maintenancebot.app.context import Context
from maintenancebot.app.maintenance import select
from maintenancebot.app.weekly import concerns, disks, figures, lines, looks, matrix, past, records
from maintenancebot.app.weekly.looks import Looks
from maintenancebot.app.weekly.records import Records
from maintenancebot.app.weekly.tidy import tidy
from maintenancebot.engine import results
from maintenancebot.model import Json, State, worst
from maintenancebot.policy.weeks import Span
from maintenancebot.report.week import HostWeek, Line, RunLine, Week
from maintenancebot.report.week_json import week_from_json
from maintenancebot.store import Store
from maintenancebot.store.summaries import Summary


def facts(context: Context, store: Store, span: Span, now: datetime) -> Week:
    """All that is to be told of a week, beside the week before; raises StoreError."""
    tasks = {one.host.name: tuple(task.name for task in one.tasks) for one in select(context, (), (), ())}
    teller, last = _Teller(context, store, tasks), span.before()
    told = store.summaries.get(last.name)
    earlier = before = as_told(told) if told else None
    if before is None or not span.is_over(now):
        # A week at hand is held against the same part of the one before.
        until = last.ends_at if span.is_over(now) else last.starts_at + (now - span.starts_at)
        before = teller.week(records.read(store, last, until))
    recorded = records.read(store, span, now)
    stuck = earlier or (before if before.runs else None)  # before the first run nothing was stuck
    return teller.week(recorded, now if span.is_recent(now) else None, before, stuck)


def as_told(summary: Summary) -> Week | None:
    """The week as it was told; None where another version told it, in a form that this one does not read."""
    try:
        return week_from_json(summary.facts)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True)
class _Teller:
    """Makes weeks of one fleet."""

    context: Context
    store: Store
    tasks: Mapping[str, Sequence[str]]  # of each host of the inventory

    def week(
        self,
        recorded: Records,
        now: datetime | None = None,
        before: Week | None = None,
        earlier: Week | None = None,
    ) -> Week:
        """A week beside the one before; `earlier` knows since when things are as they are.

        Without `now` it is long past: what holds now is no part of it.
        """
        span, inventory, store = recorded.span, self.context.inventory.hosts, self.store
        known = looks.last(self.tasks, recorded.looks)
        configured = [task.name for task in self.context.settings.tasks]
        hosts = matrix.hosts(inventory, configured, known, recorded.reports)
        full = disks.forecasts(inventory, store, recorded, now or recorded.until)
        found = [*lines.of_hosts(known), *self._concerns(recorded, known, now), *disks.lines(full)]
        needs = past.dated(lines.worst_first(found), store.memories.everywhere(results.KIND), earlier, span)
        counted = _figures(store, recorded, hosts, known, now or recorded.until)
        state = worst([*(host.state for host in hosts), *(line.state for line in needs)])
        week = Week(
            name=self.context.settings.name,
            week=span.name,
            starts_at=span.starts_at,
            ends_at=recorded.until,
            zone=span.zone,
            state=state,
            headline=_headline(state, counted, len(needs), recorded),
            needs_person=needs,
            changed=lines.worst_first(past.changed(hosts, before)),
            hosts=hosts,
            figures=counted,
            before=before.figures if before and before.runs else {},
            disks=full,
            runs=tuple(
                RunLine(run.id, run.command, run.started_at, run.finished_at, run.state) for run in recorded.runs
            ),
        )
        return tidy(week, self.context.secrets.values)

    def _concerns(self, recorded: Records, known: Mapping[str, Looks], now: datetime | None) -> Iterable[Line]:
        at_work = self.store.leases.all(at=now) if now is not None else []
        yield from concerns.of_records(recorded, at_work)
        yield from concerns.of_reboots(known)
        if now is not None:
            yield from concerns.of_now(self.store, self.context.inventory, now, at_work)


def _figures(
    store: Store, recorded: Records, hosts: Sequence[HostWeek], known: Mapping[str, Looks], at: datetime
) -> dict[str, Json]:
    used = store.spending.between(recorded.span.starts_at, recorded.until)
    return {
        **figures.of_hosts(hosts, known),
        **figures.of_changes(recorded),
        **figures.of_tasks(known.values()),
        **figures.of_events(recorded),
        "approvals_open": len(store.approvals.pending(at=at)),
        "tokens": used.tokens,
        "dollars": used.dollars,
    }


def _headline(state: State, counted: Mapping[str, Json], needs: int, recorded: Records) -> str:
    """One sentence: how the fleet is, by its worst state, and how much needs a person."""
    hosts = counted["hosts"]
    if not any(recorded.looks):
        said = f"no run looked at the {_count(hosts, 'host')}"
    else:
        parts = [("well", "well"), ("failed", "failed"), ("unknown", "unknown"), ("not_seen", "not looked at")]
        told = [f"{counted[f'hosts_{key}']:,} {word}" for key, word in parts if counted[f"hosts_{key}"]]
        said = ", ".join([_count(hosts, "host"), *told])
    todo = f"{_count(needs, 'thing')} need{'s' if needs == 1 else ''} a person" if needs else "nothing needs a person"
    return f"{state}: {said}; {todo}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
