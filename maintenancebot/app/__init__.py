"""Wires the product: makes the real clock, store and connections, hands them to the engine, and returns reports."""

from maintenancebot.app.context import Context, Options, load, now
from maintenancebot.app.explain import ExplainResult, explain
from maintenancebot.app.hosts import HostKey, Known, PingResult, accept, fleet, host_key, ping, trust
from maintenancebot.app.maintenance import dry_run, run, run_in, settle_in
from maintenancebot.app.person import person
from maintenancebot.app.records import get_report, state, stop
from maintenancebot.app.remediation import remediate_disk, remediate_disk_dry_run
from maintenancebot.app.trash import (
    TrashResult,
    purge_in,
    trash_list,
    trash_purge,
    trash_purge_dry_run,
    trash_restore,
)

__all__ = [
    "Context",
    "ExplainResult",
    "HostKey",
    "Known",
    "Options",
    "PingResult",
    "TrashResult",
    "accept",
    "dry_run",
    "explain",
    "fleet",
    "get_report",
    "host_key",
    "load",
    "now",
    "person",
    "ping",
    "purge_in",
    "remediate_disk",
    "remediate_disk_dry_run",
    "run",
    "run_in",
    "settle_in",
    "state",
    "stop",
    "trash_list",
    "trash_purge",
    "trash_purge_dry_run",
    "trash_restore",
    "trust",
]
