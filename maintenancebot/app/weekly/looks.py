"""How each task of each host ended last in a week."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from maintenancebot.app.trash import PURGE
from maintenancebot.model import HostReport, Reason, Report, State, TaskReport, worst
from maintenancebot.plan.trash import TASK as TRASH

NOT_LOOKED_AT = "no run of the week was for it"


@dataclass(frozen=True)
class Look:
    """A task as a run left it; without a report of its own, the host could not be looked at."""

    state: State
    reason: Reason
    detail: str
    run: str
    at: datetime
    task: TaskReport | None = None


@dataclass
class Looks:
    """A host over a week: the last look at each task, and what was wrong with the host as a whole at the last one."""

    tasks: dict[str, Look] = field(default_factory=dict)
    trouble: Look | None = None
    is_seen: bool = False

    @property
    def all(self) -> Sequence[Look]:
        """Everything that is known of it, the host as a whole first."""
        return [*([self.trouble] if self.trouble else []), *self.tasks.values()]

    @property
    def worst(self) -> Look | None:
        """What decides the host's state; None where no run was for it."""
        state = worst([look.state for look in self.all])
        return next((look for look in self.all if look.state is state), None)

    @property
    def reports(self) -> Iterable[TaskReport]:
        """The last reports of tasks that could be looked at."""
        return [look.task for look in self.tasks.values() if look.task is not None]


def last(tasks: Mapping[str, Sequence[str]], reports: Iterable[Report]) -> dict[str, Looks]:
    """The last looks at these hosts, each with the tasks that are for it; reports come oldest first."""
    found = {host: Looks() for host in tasks}
    for report in reports:
        ran = {task.task for host in report.hosts for task in host.tasks}
        for host in report.hosts:
            if host.host in found and host.reason is not Reason.NOT_SELECTED:
                mine = [TRASH] if report.command == PURGE else tasks[host.host]
                _see(found[host.host], host, report, [task for task in mine if task in ran] or mine)
    return found


def _see(looks: Looks, host: HostReport, report: Report, wanted: Sequence[str]) -> None:
    run, at = report.run_id, report.finished_at
    whole = Look(host.state, host.reason, host.detail, run, at)
    looks.is_seen = True
    looks.trouble = whole if not host.tasks or host.reason is Reason.UNFINISHED else None
    for task in host.tasks:
        if task.reason is not Reason.NOT_SELECTED:
            looks.tasks[task.task] = Look(task.state, task.reason, task.detail, run, at, task)
    for name in wanted if not host.tasks else ():
        looks.tasks[name] = whole
