"""Wires the product: makes the real clock, store and connections, hands them to the engine, and returns reports."""

from maintenancebot.app.context import Context, Options, load, now
from maintenancebot.app.explain import ExplainResult, explain
from maintenancebot.app.hosts import HostKey, PingResult, host_key, inventory, ping, trust
from maintenancebot.app.maintenance import dry_run, run
from maintenancebot.app.records import get_report, state, stop
from maintenancebot.app.remediation import remediate_disk, remediate_disk_dry_run
from maintenancebot.app.trash import TrashResult, trash_list, trash_purge, trash_purge_dry_run, trash_restore

__all__ = [
    "Context",
    "ExplainResult",
    "HostKey",
    "Options",
    "PingResult",
    "TrashResult",
    "dry_run",
    "explain",
    "get_report",
    "host_key",
    "inventory",
    "load",
    "now",
    "ping",
    "remediate_disk",
    "remediate_disk_dry_run",
    "run",
    "state",
    "stop",
    "trash_list",
    "trash_purge",
    "trash_purge_dry_run",
    "trash_restore",
    "trust",
]
