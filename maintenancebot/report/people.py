"""What needs a person: one line per trouble, with all its hosts and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from maintenancebot.model import GUARD_REASONS, ChangeReport, HostReport, Reason, State, TaskReport
from maintenancebot.report.explain import advice, explain

NAMED_HOSTS = 5
"""Hosts that one line names; the table names them all."""

OWN_VERDICT = "verdict_reason"
"""The fact of a task that judges by itself, whatever becomes of its changes."""

ORDER = (State.FAILED, State.UNKNOWN, State.WAITING, State.SKIPPED)


class Trouble(NamedTuple):
    """What several hosts may have in common."""

    task: str
    state: State
    reason: Reason
    of_changes: bool


class Case(NamedTuple):
    """A trouble on one host: its detail, or the first of its changes."""

    host: str
    changes: int
    detail: str


def lines(hosts: Sequence[HostReport]) -> list[str]:
    """One line per trouble, failures first; every host with trouble is counted in one."""
    found: dict[Trouble, list[Case]] = {}
    for host in hosts:
        for trouble, case in troubles(host):
            found.setdefault(trouble, []).append(case)
    return [_line(trouble, found[trouble]) for trouble in sorted(found, key=lambda one: ORDER.index(one.state))]


def needs_person(state: State, reason: Reason) -> bool:
    """Whether somebody must look: failed, unknown, waiting, or refused by a guard."""
    return state in (State.FAILED, State.UNKNOWN, State.WAITING) or (state is State.SKIPPED and reason in GUARD_REASONS)


def troubles(host: HostReport) -> Iterable[tuple[Trouble, Case]]:
    """What somebody must look at on a host."""
    from_tasks = [trouble for task in host.tasks for trouble in _task_troubles(host.host, task)]
    quiet = any(_is_quiet(task) and task.state is host.state for task in host.tasks)
    if not from_tasks and not quiet and needs_person(host.state, host.reason):
        yield Trouble("", host.state, host.reason, False), Case(host.host, 0, host.detail)
    yield from from_tasks


def _is_quiet(task: TaskReport) -> bool:
    """Whether nobody wants to be called for this task's verdict; the report shows it all the same."""
    return task.facts.get("alert_on_failure") is False


def _task_troubles(host: str, task: TaskReport) -> Iterable[tuple[Trouble, Case]]:
    told_by_changes = task.state in {change.state for change in task.changes} and not task.facts.get(OWN_VERDICT)
    if needs_person(task.state, task.reason) and not told_by_changes and not _is_quiet(task):
        yield Trouble(task.task, task.state, task.reason, False), Case(host, 0, task.detail)
    changes = [change for change in task.changes if needs_person(change.state, change.reason)]
    for state, reason in dict.fromkeys((change.state, change.reason) for change in changes):
        same = [change for change in changes if (change.state, change.reason) == (state, reason)]
        yield Trouble(task.task, state, reason, True), Case(host, len(same), _example(same[0]))


def _example(change: ChangeReport) -> str:
    return ": ".join(part for part in (change.change.name, change.detail) if part)


def _line(trouble: Trouble, cases: Sequence[Case]) -> str:
    hosts = [case.host for case in cases]
    parts = [_named(hosts) + (f", {trouble.task}" if trouble.task else ""), trouble.state.value]
    same = not trouble.of_changes and len({case.detail for case in cases}) == 1
    why = explain(trouble.reason, cases[0].detail if same else "")
    said = ": ".join([*parts, why] if why else parts)
    if not same:
        said += f" ({_example_of(cases)})"
    said, todo = said.removesuffix("."), advice(trouble.reason)
    return f"{said}. To do: {todo}." if todo else f"{said}."


def _example_of(cases: Sequence[Case]) -> str:
    count, first = sum(case.changes for case in cases), cases[0].detail
    if count == 1:
        return first
    return f"{count:,} changes, first {first}" if count else f"first: {first}"


def _named(hosts: Sequence[str]) -> str:
    named = ", ".join(hosts[:NAMED_HOSTS])
    more = len(hosts) - NAMED_HOSTS
    return f"{named} and {more:,} more host{'' if more == 1 else 's'}" if more > 0 else named
