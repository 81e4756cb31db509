"""The hosts of the inventory over a week: the fleet's matrix of hosts and tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from maintenancebot.app.weekly.looks import NOT_LOOKED_AT, Look, Looks
from maintenancebot.model import Host, Report, State
from maintenancebot.report.week import Cell, HostWeek


def hosts(
    inventory: Sequence[Host], tasks: Sequence[str], looks: Mapping[str, Looks], reports: Iterable[Report]
) -> tuple[HostWeek, ...]:
    """All hosts in the inventory's order, whether a run was for them or not; their tasks in the configuration's."""
    made = _made(reports)
    return tuple(_host(host, tasks, looks[host.name], made) for host in inventory)


def _host(host: Host, tasks: Sequence[str], looks: Looks, made: Mapping[tuple[str, str], int]) -> HostWeek:
    ordered = [*(task for task in tasks if task in looks.tasks), *(task for task in looks.tasks if task not in tasks)]
    cells = {name: _cell(looks.tasks[name], made[host.name, name]) for name in ordered}
    worst = looks.worst
    if worst is None:
        # A host that was looked at and has no task is well; one that was not looked at is not known to be.
        state, detail = (State.NOTHING, "") if looks.is_seen else (State.UNKNOWN, NOT_LOOKED_AT)
        return HostWeek(host.name, state, detail=detail, groups=host.groups)
    detail = worst.detail if worst is looks.trouble else ""
    is_quiet = all(map(_is_quiet, (look for look in looks.all if look.state is worst.state)))
    return HostWeek(host.name, worst.state, worst.reason, detail, host.groups, cells, is_quiet)


def _is_quiet(look: Look) -> bool:
    """Whether nobody wants to be called for what was found; a host that could not be looked at is another thing."""
    return look.task is not None and look.task.facts.get("alert_on_failure") is False


def _cell(look: Look, changes: int) -> Cell:
    return Cell(look.state, look.reason, look.detail, look.at, changes)


def _made(reports: Iterable[Report]) -> Counter[tuple[str, str]]:
    """How many changes were made, by host and task."""
    return Counter(
        (host.host, task.task)
        for report in reports
        for host in report.hosts
        for task in host.tasks
        for change in task.changes
        if change.state is State.DONE
    )
