"""Strict configuration: every value checked, every fault with its place and what to write instead."""

from maintenancebot.settings.environment import OWN_NAMES
from maintenancebot.settings.loading import BUNDLED, json_schema, load_settings
from maintenancebot.settings.sections import Caps, Defaults, Deletion, Freeze, Guards, Settings, Ssh, Store, Window
from maintenancebot.settings.tasks import (
    CleanupPattern,
    CleanupTask,
    DockerPruneTask,
    FileSource,
    MonitorTask,
    PackageUpdateTask,
    Task,
    VerifyTask,
)

__all__ = [
    "BUNDLED",
    "OWN_NAMES",
    "Caps",
    "CleanupPattern",
    "CleanupTask",
    "Defaults",
    "Deletion",
    "DockerPruneTask",
    "FileSource",
    "Freeze",
    "Guards",
    "MonitorTask",
    "PackageUpdateTask",
    "Settings",
    "Ssh",
    "Store",
    "Task",
    "VerifyTask",
    "Window",
    "json_schema",
    "load_settings",
]
