"""Wires the product: makes the real clock, store and connections, hands them to the engine, and returns reports."""

from maintenancebot.app.allowances import Given
from maintenancebot.app.allowances import accept as drift_accept
from maintenancebot.app.allowances import allowances as drift_allowances
from maintenancebot.app.allowances import revoke as drift_revoke
from maintenancebot.app.capture import CaptureResult
from maintenancebot.app.capture import capture as drift_capture
from maintenancebot.app.context import Context, Options, load, now
from maintenancebot.app.decisions import decide
from maintenancebot.app.explain import ExplainResult, explain
from maintenancebot.app.hosts import HostKey, Known, PingResult, accept, fleet, host_key, ping, trust
from maintenancebot.app.maintenance import dry_run, run, run_in, settle_in
from maintenancebot.app.person import person
from maintenancebot.app.records import get_report, state, stop
from maintenancebot.app.remediation import remediate_disk, remediate_disk_dry_run
from maintenancebot.app.summary import Told, post_in, post_summary, summary
from maintenancebot.app.trash import (
    TrashResult,
    purge_in,
    trash_list,
    trash_purge,
    trash_purge_dry_run,
    trash_restore,
)

__all__ = [
    "CaptureResult",
    "Context",
    "ExplainResult",
    "Given",
    "HostKey",
    "Known",
    "Options",
    "PingResult",
    "Told",
    "TrashResult",
    "accept",
    "decide",
    "drift_accept",
    "drift_allowances",
    "drift_capture",
    "drift_revoke",
    "dry_run",
    "explain",
    "fleet",
    "get_report",
    "host_key",
    "load",
    "now",
    "person",
    "ping",
    "post_in",
    "post_summary",
    "purge_in",
    "remediate_disk",
    "remediate_disk_dry_run",
    "run",
    "run_in",
    "settle_in",
    "state",
    "stop",
    "summary",
    "trash_list",
    "trash_purge",
    "trash_purge_dry_run",
    "trash_restore",
    "trust",
]
