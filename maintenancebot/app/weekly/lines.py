"""What needs a person in the tasks of hosts: the same troubles that the reports of runs name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maintenancebot.app.weekly.looks import NOT_LOOKED_AT, Look, Looks
from maintenancebot.model import HostReport, Reason, State
from maintenancebot.report import people
from maintenancebot.report.explain import advice
from maintenancebot.report.people import Case, Trouble
from maintenancebot.report.week import Line
from maintenancebot.report.week_lines import SEVERITY

HOST = ""
"""The subject of what is wrong with a host as a whole."""

WHEN = "`maintenancebot run` looks now, `maintenancebot check` says when the daemon does"


def of_hosts(looks: Mapping[str, Looks]) -> Iterable[Line]:
    """A line for each trouble of each host; what nobody looked at is one."""
    if looks and not any(known.is_seen for known in looks.values()):
        detail = f"no run of the week looked at any of {len(looks):,}"
        yield Line("", "hosts", State.UNKNOWN, Reason.NONE, detail, action=WHEN)
        return
    for host, known in looks.items():
        yield from _of_host(host, known)


def _of_host(host: str, known: Looks) -> Iterable[Line]:
    if not known.is_seen:
        yield Line(host, HOST, State.UNKNOWN, Reason.NONE, NOT_LOOKED_AT, action=WHEN)
    if known.trouble is not None:
        yield from _lines(
            HostReport(host, known.trouble.state, known.trouble.reason, known.trouble.detail), known.trouble
        )
    for name, look in known.tasks.items():
        if look.task is not None:
            yield from _lines(HostReport(host, look.state, tasks=(look.task,)), look)
        elif not _is_told(look, known) and people.needs_person(look.state, look.reason):
            # The host could be looked at since, but not for this task.
            yield Line(host, name, look.state, look.reason, look.detail, look.at, action=advice(look.reason))


def _is_told(look: Look, known: Looks) -> bool:
    return known.trouble is not None and look.reason is known.trouble.reason


def worst_first(lines: Iterable[Line]) -> tuple[Line, ...]:
    """The lines in the order in which people read them; otherwise as they come."""
    return tuple(sorted(lines, key=lambda line: SEVERITY.index(line.state)))


def _lines(report: HostReport, look: Look) -> Iterable[Line]:
    for trouble, case in people.troubles(report):
        yield Line(
            host=report.host,
            subject=trouble.task or HOST,
            state=trouble.state,
            reason=trouble.reason,
            detail=_detail(trouble, case),
            since=look.at,
            action=advice(trouble.reason) or f"see `maintenancebot report {look.run}`",
        )


def _detail(trouble: Trouble, case: Case) -> str:
    return f"{case.changes:,} changes, first {case.detail}" if trouble.of_changes and case.changes > 1 else case.detail
