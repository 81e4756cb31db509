"""File backups: what to ask the helper."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Host, Json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.session import Session
from maintenancebot.settings import FileSource, Settings, Task
from maintenancebot.settings.tasks import VerifyTask

OP = "backups"


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The sources to look at; None when the task names none.

    The host's own clock judges the ages, since it made the files' times too; the planner refuses a wrong clock.
    """
    assert isinstance(task, VerifyTask)
    if not task.sources:
        return None
    sources = [
        {"type": "files", "name": s.name, "path": s.path, "min_bytes": s.min_bytes}
        for s in task.sources
        if isinstance(s, FileSource)
    ]
    return {"sources": sources, "max_age_hours": task.max_age_hours}


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The helper's answer is all there is."""
    return result
