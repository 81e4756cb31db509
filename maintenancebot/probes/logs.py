"""Cleanup: asks the helper which files are due, and what else is. All is judged on the host, where it can be seen."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Host, Json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.session import Session
from maintenancebot.settings import CleanupTask, Settings, Task

OP = "cleanup"


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """What the task looks after, with the rules of `deletion`; one file more than the cap is listed for the gate."""
    assert isinstance(task, CleanupTask)
    deletion = settings.deletion
    return {
        "patterns": [
            {
                "path": pattern.path,
                "retention_days": pattern.retention_days,
                "compress": pattern.compress,
                "links": pattern.links,
                "exclude": list(pattern.exclude),
            }
            for pattern in task.patterns
        ],
        "package_cache": task.package_cache,
        "journal": task.journal.model_dump() if task.journal else None,
        "rotate": [rotation.model_dump() for rotation in task.rotate],
        "allow": list(deletion.allow),
        "protect": list(deletion.protect),
        "limit": deletion.caps.files + 1,
    }


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The host has told everything."""
    return result
