"""Steps, outcomes and times for the tests of the store."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maintenancebot.model import Action, Outcome, Reason, State, Step, TaskType, Undo
from maintenancebot.plan.document import HostPlan, Plan, TaskPlan, make_change, plan_to_json
from maintenancebot.store import Store

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)
RUN = "20261121T120000Z-abcdef"
DIGEST = "d" * 64
ODD = "/var/log/\udcff\x00\n\u202e.log"
"""A file name with bytes that are not UTF-8, NUL, a line end and a direction change."""


def later(**span: float) -> datetime:
    return NOON + timedelta(**span)


def step(host: str, number: int, name: str = "/var/log/app.log") -> Step:
    identity = {"path": name, "inode": number}
    change = make_change(host, "logs", Action.QUARANTINE_FILE, name=name, identity=identity, undo=Undo.TRASH)
    return Step(f"step-{number}", "logs", "logs.quarantine", (change,))


def steps(host: str, count: int) -> list[Step]:
    return [step(host, number) for number in range(count)]


def done(one: Step, state: State = State.DONE, reason: Reason = Reason.VERIFIED) -> Outcome:
    return Outcome(one.changes[0].id, state, reason, measured={"freed_now": 4096})


def request(store: Store, *numbers: int, run: str = RUN, at: datetime = NOON) -> str:
    """Ask for the changes of these numbers on web-1; returns the plan's digest."""
    changes = tuple(step("web-1", number).changes[0] for number in numbers)
    task = TaskPlan("logs", TaskType.CLEANUP, State.PLANNED, changes=changes)
    host = HostPlan("web-1", "m" * 32, "b", at, 0.0, (task,))
    plan = Plan(run, at, at + WEEK, "c" * 64, (host,)).sealed()
    store.approvals.request(plan.digest, plan_to_json(plan), by=run, at=at, expires_at=plan.expires_at)
    return plan.digest


def tamper(state: Path, *statements: str) -> None:
    """Change the database as somebody with root and patience would."""
    connection = sqlite3.connect(state / "state.db")
    with connection:
        for trigger in ("audit_no_update", "audit_no_delete"):
            connection.execute(f"DROP TRIGGER IF EXISTS {trigger}")
        for statement in statements:
            connection.execute(statement)
    connection.close()
