"""The state of the product: what ran, and the kill switch."""

from __future__ import annotations

from maintenancebot.app.context import Options, now
from maintenancebot.errors import MaintenanceError, UsageError
from maintenancebot.model import Report
from maintenancebot.report import document
from maintenancebot.settings import load_settings
from maintenancebot.store import Store, stop_by_file
from maintenancebot.store.location import state_dir as locate_state


def get_report(options: Options, run_id: str) -> Report:
    """A stored run's report, by id or unique beginning of an id; raises UsageError when there is none."""
    with state(options) as store:
        stored = store.runs.get(run_id)
    if stored is None or not stored.report:
        raise UsageError(f"no finished run {run_id!r}; see `maintenancebot history`")
    return document.report_from_json(stored.report)


def state(options: Options, *, write: bool = False) -> Store:
    """The state where the configuration places it, for looking or for writing; raises UsageError and StoreError."""
    settings, place = load_settings(options.config), locate_state(options.state_dir)
    url, kill_switch = settings.store.url, settings.guards.kill_switch_file
    if write:
        return Store.open(place, create=True, url=url, kill_switch=kill_switch)
    return Store.open_readonly(place, url=url, kill_switch=kill_switch)


def stop(options: Options, reason: str, by: str) -> str:
    """Stop everything, by file if the configuration or the database cannot be used; returns why they could not."""
    at = now()
    stopped = stop_by_file(locate_state(options.state_dir), reason, by, at=at)
    try:
        with state(options, write=True) as store:
            store.guard.stop(reason, by, at=at)
    except MaintenanceError as error:
        if not stopped:
            raise
        return str(error)
    return ""
