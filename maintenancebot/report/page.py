"""What a report says to people, in the order in which they read it; no layout and no escaping yet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maintenancebot.model import ChangeReport, HostReport, Reason, Report, Risk, State, TaskReport, Undo, worst
from maintenancebot.report import asides, drift, drift_rows, people
from maintenancebot.report.figures import effects, freed, kinds, states
from maintenancebot.report.totals import totals

SHOWN = 10
"""Changes of one task that are listed without -v."""

NOTES_SHOWN = 20
"""Notes that are listed without -v."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a task on a host, or a host without tasks."""

    host: str
    task: str
    state: State
    reason: str
    what: str


@dataclass(frozen=True)
class Line:
    """One change."""

    state: State
    action: str
    name: str
    rest: str


@dataclass(frozen=True)
class Group:
    """The changes of one task on one host, and what drift no change is about; `more` of them are not listed."""

    host: str
    task: str
    lines: tuple[Line, ...]
    more: int
    diffs: tuple[tuple[str, tuple[str, ...]], ...] = ()  # by item, the lines of a file that differ


@dataclass(frozen=True)
class Page:
    """A whole report. All of it may hold text from hosts: a renderer cleans every string before it shows it."""

    title: str
    rows: tuple[Row, ...]
    groups: tuple[Group, ...]
    fleet: tuple[str, ...]  # declared items that are not the same on all hosts, the odd one out first
    state: State
    headline: str
    figures: str
    needs_person: tuple[str, ...]
    notes: tuple[str, ...]


def page(report: Report, *, verbose: bool) -> Page:
    """The report for people; with `verbose` every change and every task that was not for a host."""
    return Page(
        title=f"{report.command} {report.run_id}, {report.started_at:%Y-%m-%d %H:%M:%S %Z}, {_took(report)}",
        rows=tuple(row for host in report.hosts for row in _rows(host, verbose=verbose)),
        groups=tuple(_groups(report.hosts, verbose=verbose)),
        fleet=tuple(drift.lines(report.totals, verbose=verbose)),
        state=_state(report),
        headline=_headline(report),
        figures=_figures(report),
        needs_person=tuple(people.lines(report.hosts)),
        notes=tuple(_notes((*report.notes, *asides.notes(report.hosts)), verbose=verbose)),
    )


def _notes(notes: Sequence[str], *, verbose: bool) -> Iterable[str]:
    """A run that was killed may leave thousands of unfinished changes, one note for each."""
    shown = len(notes) if verbose else NOTES_SHOWN
    yield from notes[:shown]
    if len(notes) > shown:
        yield f"… and {len(notes) - shown:,} more; -v lists all"


def _took(report: Report) -> str:
    seconds = max(0, round((report.finished_at - report.started_at).total_seconds()))
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _state(report: Report) -> State:
    return worst([report.state, *(host.state for host in report.hosts if host.reason is not Reason.NOT_SELECTED)])


def _rows(host: HostReport, *, verbose: bool) -> Iterable[Row]:
    if not host.tasks:
        yield Row(host.host, "-", host.state, host.reason.value, host.detail)
    for task in host.tasks:
        if verbose or task.reason is not Reason.NOT_SELECTED:
            yield Row(host.host, task.task, task.state, task.reason.value, _what(task))


def _what(task: TaskReport) -> str:
    parts = (*_changed(task), task.detail, asides.aside(task))
    return "; ".join(part for part in parts if part)


def _changed(task: TaskReport) -> tuple[str, ...]:
    if not task.changes:
        return ()
    counted = kinds(task.changes)
    if {change.state for change in task.changes} != {task.state}:
        counted += f" ({states(change.state for change in task.changes)})"
    return counted, freed(totals([_alone(task)]))


def _alone(task: TaskReport) -> HostReport:
    return HostReport(host="", state=task.state, tasks=(task,))


def _groups(hosts: Sequence[HostReport], *, verbose: bool) -> Iterable[Group]:
    for host in hosts:
        for task in host.tasks:
            if task.changes or drift_rows.differences(task):
                yield _group(host.host, task, verbose=verbose)


def _group(host: str, task: TaskReport, *, verbose: bool) -> Group:
    calm = (State.PLANNED, State.DONE, State.NOTHING, State.SKIPPED)
    ordered = sorted(task.changes, key=lambda change: change.state in calm)  # trouble first: never cut off
    differences = drift_rows.differences(task)
    most = max(len(ordered), len(differences)) if verbose else SHOWN
    writers = drift_rows.writers(task)
    made = [_line(one, writers.get(one.change.name, "")) for one in ordered[:most]]
    lines = [*map(_drift_line, differences[:most]), *made]
    more = len(differences) + len(ordered) - len(lines)
    return Group(host, task.task, tuple(lines), more, tuple(drift_rows.diffs(task, verbose=verbose)))


def _drift_line(one: drift_rows.Difference) -> Line:
    return Line(one.state, one.kind, one.item, one.rest)


def _line(report: ChangeReport, writers: str) -> Line:
    change = report.change
    undo = "cannot be undone" if change.undo is Undo.NONE else f"undo: {change.undo.value}"
    why = ": ".join(part for part in (report.reason.value, report.detail) if part)
    risk = "" if change.risk is Risk.LOW else f"risk: {change.risk.value}"
    parts = (why, drift_rows.replaced(change), effects(report), writers, undo, risk, change.note)
    return Line(report.state, change.action.value, change.name, "; ".join(part for part in parts if part))


def _headline(report: Report) -> str:
    count = len(report.hosts)
    hosts = f"{count:,} host{'' if count == 1 else 's'}"
    chosen = [host.state for host in report.hosts if host.reason is not Reason.NOT_SELECTED]
    left_out = count - len(chosen)
    counted = ", ".join(part for part in (states(chosen), f"{left_out:,} not selected" if left_out else "") if part)
    return f"{_state(report).value}: {hosts}" + (f", {counted}" if counted else "")


def _figures(report: Report) -> str:
    changes = [change for host in report.hosts for task in host.tasks for change in task.changes]
    if not changes:
        return "No changes."
    said = f"Changes: {states(change.state for change in changes)}"
    objects = kinds(change for change in changes if change.state in (State.DONE, State.PLANNED))
    space = freed(totals(report.hosts))
    return said + (f" ({objects})" if objects else "") + "." + (f" {space[0].upper()}{space[1:]}." if space else "")
