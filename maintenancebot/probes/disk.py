"""One file system of a host: how full it is, and where it is full, what uses it. `plan/filesystem.py` reads it."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Json
from maintenancebot.settings import Settings

OP = "disk"


def request(mount: str, settings: Settings) -> Mapping[str, Json]:
    """Arguments for the helper's operation; what uses the space is looked at where the target is not met."""
    return {
        "mount": mount,
        "elsewhere": settings.deletion.trash.elsewhere or "",
        "percent": settings.remediation.disk.target_percent,
    }
