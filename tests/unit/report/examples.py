"""Reports for the tests."""

from __future__ import annotations

from datetime import UTC, datetime

from maintenancebot.model import (
    Action,
    Change,
    ChangeReport,
    HostReport,
    Reason,
    Report,
    Risk,
    State,
    TaskReport,
    TaskType,
    Undo,
    worst,
)
from maintenancebot.report.totals import totals

STARTED = datetime(2026, 11, 22, 3, 0, 0, tzinfo=UTC)
FINISHED = datetime(2026, 11, 22, 3, 1, 5, tzinfo=UTC)


def change(name: str, action: Action = Action.QUARANTINE_FILE, **given: object) -> Change:
    values: dict[str, object] = {
        "id": f"id-{name}",
        "task": "log_rotation",
        "name": name,
        "object": {"path": name, "inode": 7},
        "undo": Undo.TRASH,
    }
    return Change(action=action, **{**values, **given})  # type: ignore[arg-type]


def planned(name: str, at_purge: int = 4096) -> ChangeReport:
    return ChangeReport(change(name, effect={"freed_now": 0, "freed_at_purge": at_purge}), State.PLANNED)


def package(name: str, state: State = State.DONE, reason: Reason = Reason.VERIFIED, detail: str = "") -> ChangeReport:
    upgrade = change(
        name, Action.UPGRADE_PACKAGE, task="security_patches", undo=Undo.DOWNGRADE, risk=Risk.MEDIUM, object={"to": "1"}
    )
    return ChangeReport(upgrade, state, reason, detail)


def cleanup(*changes: ChangeReport, state: State | None = None, **given: object) -> TaskReport:
    state = worst([change.state for change in changes]) if state is None else state
    return TaskReport("log_rotation", TaskType.CLEANUP, state, changes=changes, **given)  # type: ignore[arg-type]


def patches(*changes: ChangeReport, state: State | None = None, **given: object) -> TaskReport:
    state = worst([change.state for change in changes]) if state is None else state
    return TaskReport("security_patches", TaskType.PACKAGE_UPDATE, state, changes=changes, **given)  # type: ignore[arg-type]


def host(name: str, *tasks: TaskReport, state: State | None = None, **given: object) -> HostReport:
    state = worst([task.state for task in tasks]) if state is None else state
    return HostReport(name, state, tasks=tasks, **given)  # type: ignore[arg-type]


def report(*hosts: HostReport, command: str = "dry-run", notes: tuple[str, ...] = ()) -> Report:
    return Report(
        command=command,
        run_id="r1",
        started_at=STARTED,
        finished_at=FINISHED,
        state=worst([one.state for one in hosts]),
        hosts=hosts,
        totals=totals(hosts),
        notes=notes,
    )
