"""The week's summary and the report of a run as HTML: one page each, which loads nothing and runs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from maintenancebot.model import HostReport, Json, Reason, Report, State
from maintenancebot.report import plots, week_lines
from maintenancebot.report.clean import clean
from maintenancebot.report.explain import SENTENCES
from maintenancebot.report.page import page
from maintenancebot.report.text import FLEET
from maintenancebot.report.week import Cell, HostWeek, Week
from maintenancebot.report.week_lines import SEVERITY, Figure
from maintenancebot.report.week_text import together

if TYPE_CHECKING:
    from jinja2 import Environment

MARKS: Mapping[State, str] = {
    State.PLANNED: "○",
    State.DONE: "✓",
    State.NOTHING: "·",
    State.SKIPPED: "-",
    State.WAITING: "…",
    State.FAILED: "✕",
    State.UNKNOWN: "?",
}
"""What stands in a cell of the matrix, so that it does not take colours to read it."""

TOPICS: Mapping[str, tuple[str, ...]] = {
    "Hosts": ("hosts", "hosts_well", "hosts_failed", "hosts_unknown", "hosts_not_seen"),
    "Tasks": ("tasks_done", "tasks_nothing", "tasks_skipped", "tasks_waiting", "tasks_failed", "tasks_unknown"),
    "Packages": ("packages_upgraded", "packages_due", "advisories", "reboots_due", "reboots"),
    "Space": ("freed_now", "freed_at_purge", "purged", "images_removed", "volumes_removed"),
    "Backups": ("backups_good", "backups_bad", "backups_unknown"),
    "Certificates": ("certificates_valid", "certificates_bad", "certificates_renewed"),
    "Drift": ("drifted", "drift_explained", "drift_corrected"),
    "Alerts and approvals": ("episodes_healed", "episodes_escalated", "slots_missed", "approvals_open"),
    "The model": ("tokens", "dollars"),
}
"""Every figure, by what it is about."""

TROUBLE = frozenset(
    {
        "hosts_failed",
        "hosts_unknown",
        "hosts_not_seen",
        "tasks_failed",
        "tasks_unknown",
        "packages_due",
        "reboots_due",
        "backups_bad",
        "backups_unknown",
        "certificates_bad",
        "drifted",
        "episodes_escalated",
        "slots_missed",
        "approvals_open",
    }
)
"""Figures that nobody wants to be above zero."""


SHOWN = 24
"""Lines of what needs a person that are open; the others are a click away."""


class Row(NamedTuple):
    """One host of the matrix; None where a task is not for it."""

    host: str
    state: State
    told: str
    cells: tuple[tuple[State, str] | None, ...]


class Matrix(NamedTuple):
    """The hosts, worst first, by their tasks."""

    tasks: tuple[str, ...]
    rows: tuple[Row, ...]
    states: tuple[tuple[State, int, float, float], ...]  # how many hosts, and where that is in the bar


def week_page(week: Week, prose: str = "") -> str:
    """The summary of a week; `prose` is what a model said of it, checked already."""
    return _rendered(
        "week.html.j2",
        week=week,
        needs=together(week_lines.needs_person(week)),
        shown=SHOWN,
        topics=list(_topics(week)),
        trouble=TROUBLE,
        disks=[(disk, plots.of_disk(disk)) for disk in week.disks],
        matrix=_matrix([_host_week(host) for host in week.hosts]),
        prose=[line for line in prose.splitlines() if line.strip()],
    )


def run_page(report: Report, *, verbose: bool = False) -> str:
    """The report of a run; with `verbose` every change and every task that was not for a host."""
    chosen = [host for host in report.hosts if verbose or host.reason is not Reason.NOT_SELECTED]
    return _rendered(
        "run.html.j2",
        page=page(report, verbose=verbose),
        fleet_title=FLEET,
        report=report,
        matrix=_matrix([_host_report(host, verbose=verbose) for host in chosen]),
    )


def _topics(week: Week) -> Iterable[tuple[str, list[Figure]]]:
    told = {figure.key: figure for figure in week_lines.figures(week)}
    for topic, keys in TOPICS.items():
        if found := [told[key] for key in keys if key in told]:
            yield topic, found


class _Seen(NamedTuple):
    """A host of a week or of a run."""

    host: str
    state: State
    told: str
    tasks: Mapping[str, tuple[State, str]]


def _host_week(host: HostWeek) -> _Seen:
    return _Seen(host.host, host.state, _told(host.reason, host.detail), {k: _cell(v) for k, v in host.tasks.items()})


def _cell(cell: Cell) -> tuple[State, str]:
    changes = f"{cell.changes:,} change{'' if cell.changes == 1 else 's'} made" if cell.changes else ""
    return cell.state, "; ".join(part for part in (_told(cell.reason, cell.detail), changes) if part)


def _host_report(host: HostReport, *, verbose: bool) -> _Seen:
    tasks = [task for task in host.tasks if verbose or task.reason is not Reason.NOT_SELECTED]
    cells = {task.task: (task.state, _told(task.reason, task.detail)) for task in tasks}
    return _Seen(host.host, host.state, _told(host.reason, host.detail), cells)


def _told(reason: Reason, detail: str) -> str:
    return ": ".join(part for part in (SENTENCES[reason], detail) if part)


def _matrix(hosts: Sequence[_Seen]) -> Matrix:
    tasks = tuple(dict.fromkeys(task for host in hosts for task in host.tasks))
    ordered = sorted(hosts, key=lambda host: SEVERITY.index(host.state))
    rows = tuple(Row(one.host, one.state, one.told, tuple(map(one.tasks.get, tasks))) for one in ordered)
    counted = Counter(host.state for host in hosts)
    states = [state for state in SEVERITY if counted[state]]
    places = plots.shares([counted[state] for state in states])
    return Matrix(tasks, rows, tuple((s, counted[s], *place) for s, place in zip(states, places, strict=True)))


def _rendered(template: str, **given: Json) -> str:
    return _environment().get_template(template).render(marks=MARKS, words=week_lines, **given)


def _environment() -> Environment:
    """Everything is escaped, and what is not visible is written out, whatever a template forgets."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("maintenancebot.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _visible(value: Json) -> Json:
    # What macros return is a subclass of str: markup already, with every value in it made visible.
    return clean(value) if type(value) is str else value
