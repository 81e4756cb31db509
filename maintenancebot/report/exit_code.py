"""What a report means to a shell or a timer: the worst decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maintenancebot.model import GUARD_REASONS, Reason, Report, State
from maintenancebot.report.week import Week

DONE = 0  # all done, or nothing to do
FAILED = 1  # something failed, unknown or unreachable
USAGE = 2  # usage or configuration error, nothing touched
REFUSED = 3  # refused by a guard, or waiting for approval


def exit_code(report: Report) -> int:
    """The exit code for a report; what failed or is unknown beats what was refused."""
    return _of(list(_results(report)))


def exit_code_of_week(week: Week) -> int:
    """The exit code for a week: its worst state, and what needs a person in it."""
    return _of([(week.state, Reason.NONE), *((line.state, line.reason) for line in week.needs_person)])


def _of(results: Sequence[tuple[State, Reason]]) -> int:
    if any(state in (State.FAILED, State.UNKNOWN) or _held_up(state, reason) for state, reason in results):
        return FAILED
    if any(state is State.WAITING or _refused(state, reason) for state, reason in results):
        return REFUSED
    return DONE


def _held_up(state: State, reason: Reason) -> bool:
    """What was wanted and not made, since somebody else held a lock: the next run has to do it."""
    return state is State.SKIPPED and reason is Reason.BUSY


def _refused(state: State, reason: Reason) -> bool:
    return state is State.SKIPPED and reason in GUARD_REASONS


def _results(report: Report) -> Iterator[tuple[State, Reason]]:
    yield report.state, Reason.NONE
    for host in report.hosts:
        yield host.state, host.reason
        for task in host.tasks:
            yield task.state, task.reason
            yield from ((change.state, change.reason) for change in task.changes)
