"""Backups: what to ask the helper of those that the host reaches, and what to ask the clouds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from maintenancebot.model import Host, Json, Reason, State
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import cloud_backups
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.sources import HOST_SOURCES
from maintenancebot.settings.tasks import VerifyTask

OP = "backups"


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The sources that the host reaches, each with its number; None when the task names none of them.

    The host's own clock judges the ages, since it made the files' times too; the planner refuses a wrong clock.
    """
    assert isinstance(task, VerifyTask)
    sources = [
        {
            **source.model_dump(mode="json", exclude={"restore"}),
            "number": number,
            "folder": source.restore.folder if source.restore else None,
        }
        for number, source in enumerate(task.sources)
        if isinstance(source, HOST_SOURCES)
    ]
    return {"sources": sources, "max_age_hours": task.max_age_hours} if sources else None


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The helper's answer with what the clouds say of the other sources, however far the host itself came."""
    assert isinstance(task, VerifyTask)
    now = datetime.now(UTC)
    others = [(number, one) for number, one in enumerate(task.sources) if not isinstance(one, HOST_SOURCES)]
    found = tuple(cloud_backups.look(task, number, source, session.host, now) for number, source in others)
    if others and len(others) == len(task.sources):
        return ProbeResult(State.DONE, Reason.NONE, "", found)  # the host was asked nothing
    return replace(result, findings=(*result.findings, *found))
