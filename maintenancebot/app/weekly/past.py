"""Weeks side by side: since when something is as it is, and what is otherwise than the week before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from maintenancebot.app.weekly.lines import HOST
from maintenancebot.model import Json, Reason, State
from maintenancebot.policy import weeks
from maintenancebot.policy.weeks import Span
from maintenancebot.report.explain import SENTENCES
from maintenancebot.report.people import needs_person
from maintenancebot.report.week import Cell, HostWeek, Line, Week

Results = Mapping[str, Mapping[str, Json]]
"""By host and task, what `engine/results.py` keeps: the state, and since when it is so."""

_WEEK = timedelta(days=7)
_WELL = (State.NOTHING, Reason.NONE)


def dated(lines: Iterable[Line], results: Results, before: Week | None, span: Span) -> tuple[Line, ...]:
    """The lines with since when and for how many weeks each is so."""
    earlier = {_key(line): line for line in before.needs_person} if before else {}
    return tuple(_dated(line, results, earlier.get(_key(line)), span) for line in lines)


def changed(hosts: Sequence[HostWeek], before: Week | None) -> tuple[Line, ...]:
    """What is otherwise than the week before: what is bad now or was bad then, hosts that came and that went."""
    if before is None or not before.runs:
        return ()
    known = {host.host: host for host in before.hosts}
    lines = [line for host in hosts for line in _changed(host, known.get(host.host))]
    gone = [name for name in known if name not in {host.host for host in hosts}]
    return (*lines, *(Line(name, HOST, State.NOTHING, Reason.NONE, "not in the inventory any more") for name in gone))


def _key(line: Line) -> tuple[str, str, State, Reason]:
    return line.host, line.subject, line.state, line.reason


def _dated(line: Line, results: Results, earlier: Line | None, span: Span) -> Line:
    since = _since(line, results)
    if since is None and earlier is not None:  # nobody wrote down how it was in between
        return replace(line, since=earlier.since or line.since, weeks=earlier.weeks + 1)
    since = since or line.since
    return replace(line, since=since, weeks=_ended_between(since, span) if since is not None else 0)


def _ended_between(since: datetime, span: Span) -> int:
    """How many weeks ended from then on until this one began: at the end of each it was so."""
    begun = weeks.containing(since, span.zone).starts_at
    return max(0, round((span.starts_at - begun) / _WEEK))  # where clocks change a week is an hour more or less


def _since(line: Line, results: Results) -> datetime | None:
    """Since when it has been so at every look, as far back as that is known; None where it is not."""
    rows = results.get(line.host, {})
    if line.subject == HOST:
        same = [row for row in rows.values() if row["reason"] == line.reason]
    else:
        same = [row for name, row in rows.items() if name == line.subject and row["state"] == line.state]
    known = [datetime.fromisoformat(row["since"]) for row in same]
    # A host as a whole was well at the last look at any of its tasks.
    return max((one for one in known if line.since is None or one <= line.since), default=None)


def _changed(host: HostWeek, before: HostWeek | None) -> Iterable[Line]:
    if before is None:
        yield Line(host.host, HOST, host.state, host.reason, "new in the inventory")
        return
    for name, cell in host.tasks.items():
        then = before.tasks.get(name)
        if then is not None and _verdict(cell) != _verdict(then):
            said = f"it was {_in_words(then)}" + (f"; now {cell.detail}" if cell.detail else "")
            yield Line(host.host, name, cell.state, cell.reason, said, since=cell.at)


def _verdict(cell: Cell) -> tuple[State, Reason]:
    """What is bad, and why; all that needs nobody is the same."""
    return (cell.state, cell.reason) if needs_person(cell.state, cell.reason) else _WELL


def _in_words(cell: Cell) -> str:
    why = SENTENCES[cell.reason]
    return f"{cell.state} ({why})" if why else cell.state
