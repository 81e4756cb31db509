"""Alerts as they come in, for tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from maintenancebot.policy.episodes import FIRING
from maintenancebot.store import Received

NAME = "NodeFilesystemAlmostOutOfSpace"


def received(at: datetime, key: str = "k1", *, name: str = NAME, status: str = FIRING, **labels: str) -> Received:
    """One alert; its key is what tells it from others."""
    return Received(key * 4, "generic", name, status, labels, at, {})


def full(at: datetime, host: str, mount: object, key: str = "k1", **more: Any) -> Received:
    """An alert about a full file system."""
    return received(at, key, host=host, mountpoint=str(mount), **more)
