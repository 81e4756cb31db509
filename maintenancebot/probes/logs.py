"""Cleanup: asks the helper which files are due. Everything is judged on the host, where it can be seen."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Host, Json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.session import Session
from maintenancebot.settings import CleanupTask, Settings, Task

OP = "logs"


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The patterns with the rules of `deletion`; one file more than the cap is listed, so that the gate sees it."""
    assert isinstance(task, CleanupTask)
    deletion = settings.deletion
    return {
        "patterns": [
            {
                "path": pattern.path,
                "retention_days": pattern.retention_days,
                "compress": pattern.compress,
                "exclude": list(pattern.exclude),
            }
            for pattern in task.patterns
        ],
        "allow": list(deletion.allow),
        "protect": list(deletion.protect),
        "limit": deletion.caps.files + 1,
    }


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The host has told everything."""
    return result
