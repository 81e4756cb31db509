"""Patches: what to ask the helper, and which archives hold security fixes."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Host, Json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.tasks import PackageUpdateTask

OP = "patches"

SECURITY_ARCHIVES = (
    ("Debian", "Debian-Security", "*"),
    ("Ubuntu", "Ubuntu", "*-security"),
    ("UbuntuESM*", "UbuntuESM*", "*-security"),
)
"""Globs for Origin, Label and Suite of a Release file; other archives of these origins are the distribution's too."""


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The scope and the archives; `refresh` renews the package lists first, which writes on the host."""
    assert isinstance(task, PackageUpdateTask)
    return {
        "scope": task.scope,
        "refresh": refresh,
        "origins": [list(archive) for archive in SECURITY_ARCHIVES],
        "further": [[one.origin, one.label, one.suite] for one in task.origins],
        "lock_timeout": task.lock_timeout_seconds,
        "snapshot_hook": task.snapshot_hook or "",
    }


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The helper's answer is all there is."""
    return result
