"""Intents: what is about to be done to a host, written before the first touch and closed by its outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from maintenancebot.model import Change, Outcome, State, Step
from maintenancebot.plan.document import change_from_json, change_to_json
from maintenancebot.store.approvals import use_in
from maintenancebot.store.audit import INTENT, OUTCOME, UNTOUCHED, Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import intents
from maintenancebot.store.together import Together

TOUCHED = frozenset({State.DONE, State.FAILED, State.UNKNOWN})
"""States of a change that was made or tried, or may have been."""

_CLOSE = (
    update(intents)
    .where(
        intents.c.run == bindparam("of_run"),
        intents.c.host == bindparam("of_host"),
        intents.c.change_id == bindparam("of_change"),
        intents.c.closed_at.is_(None),
    )
    .values(closed_at=bindparam("ended"), state=bindparam("outcome"), reason=bindparam("why"))
)


@dataclass(frozen=True)
class Intent:
    """A change that was about to be made and has no outcome yet."""

    run_id: str
    host: str
    step: str
    change: Change
    plan_digest: str
    recorded_at: datetime
    machine_id: str = ""  # of the machine that was to be changed


@dataclass(frozen=True)
class _Ended:
    run_id: str
    host: str
    at: datetime
    outcomes: tuple[Outcome, ...]


class Intents:
    """Writes intents and their outcomes; each call is one transaction together with its rows of the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._closing = Together(self._close_all)

    def record(
        self, run_id: str, host: str, plan_digest: str, steps: Sequence[Step], *, at: datetime, machine_id: str = ""
    ) -> None:
        """Write down every change of the steps before anything is touched; raises StoreError."""
        wanted = [(step, change, change_to_json(change)) for step in steps for change in step.changes]
        records = [
            Record(
                INTENT, run_id, host, {"step": step.id, "op": step.op, "plan": plan_digest, "change": body}, at, c.id
            )
            for step, c, body in wanted
        ]
        if not wanted:
            return
        common = {"run": run_id, "host": host, "plan_digest": plan_digest, "recorded_at": at, "machine_id": machine_id}
        with self._database.write() as connection:
            first = append_in(connection, records) - len(records) + 1
            rows = [
                {**common, "seq": seq, "step": step.id, "change_id": change.id, "change": body}
                for seq, (step, change, body) in enumerate(wanted, first)
            ]
            connection.execute(insert(intents), rows)

    def close(self, run_id: str, outcomes: Sequence[Outcome], *, host: str, at: datetime) -> None:
        """Write down what became of changes, and use up the approvals they had; raises StoreError."""
        if outcomes:
            self._closing.add(_Ended(run_id, host, at, tuple(outcomes)))

    def unfinished(self, host: str | None = None) -> list[Intent]:
        """Intents without an outcome, oldest first."""
        query = select(intents).where(intents.c.closed_at.is_(None)).order_by(intents.c.seq)
        if host is not None:
            query = query.where(intents.c.host == host)
        with self._database.read() as connection:
            return [_intent(row) for row in connection.execute(query)]

    def _close_all(self, many: Sequence[_Ended]) -> None:
        every = [(ended, outcome) for ended in many for outcome in ended.outcomes]
        with self._database.write() as connection:
            append_in(connection, [_record(*one) for one in every])
            connection.execute(_CLOSE, [_closed(*one) for one in every])
            use_in(connection, [(outcome.change_id, ended.at) for ended, outcome in every if _touched(outcome)])


def _record(ended: _Ended, outcome: Outcome) -> Record:
    body = {
        "state": outcome.state.value,
        "reason": outcome.reason.value,
        "detail": outcome.detail,
        "measured": dict(outcome.measured),
    }
    kind = OUTCOME if _touched(outcome) else UNTOUCHED
    return Record(kind, ended.run_id, ended.host, body, ended.at, outcome.change_id)


def _touched(outcome: Outcome) -> bool:
    return outcome.begun and outcome.state in TOUCHED


def _closed(ended: _Ended, outcome: Outcome) -> dict[str, Any]:
    return {
        "of_run": ended.run_id,
        "of_host": ended.host,
        "of_change": outcome.change_id,
        "ended": ended.at,
        "outcome": outcome.state.value,
        "why": outcome.reason.value,
    }


def _intent(row: Any) -> Intent:
    return Intent(
        row.run, row.host, row.step, change_from_json(row.change), row.plan_digest, row.recorded_at, row.machine_id
    )
