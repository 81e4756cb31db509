"""Intents: what is about to be done to a host, written before the first touch and closed by its outcome."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Text, bindparam, cast, func, insert, or_, select, update

from maintenancebot.errors import FencedError
from maintenancebot.model import Action, Change, Json, Outcome, State, Step
from maintenancebot.plan.document import change_from_json, change_to_json
from maintenancebot.policy import budgets
from maintenancebot.policy.budgets import Limits
from maintenancebot.store.approvals import use_in
from maintenancebot.store.audit import INTENT, OUTCOME, UNTOUCHED, Record, actions_in, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.leases import Lease, is_fenced
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
class Made:
    """A change that was made."""

    run_id: str
    change: Change
    at: datetime


@dataclass
class _Ended:
    run_id: str
    host: str
    at: datetime
    outcomes: tuple[Outcome, ...]
    lease: Lease | None
    fenced: bool = False  # found when it was to be written


class Intents:
    """Writes intents and their outcomes; each call is one transaction together with its rows of the audit log.

    What is written under a lease raises FencedError, and leaves no trace, once somebody else has taken it over.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._closing = Together(self._close_all)

    def record(
        self,
        run_id: str,
        host: str,
        plan_digest: str,
        steps: Sequence[Step],
        *,
        at: datetime,
        machine_id: str = "",
        lease: Lease | None = None,
        limits: Limits | None = None,
    ) -> list[Step]:
        """Write down every change of the steps before anything is touched, and return these steps; raises StoreError.

        With `limits` they are the first ones that the budgets still allow: an open intent counts as if it were made,
        so that runs side by side never exceed them together.
        """
        with self._database.write() as connection:
            if lease is not None and is_fenced(connection, lease):
                raise FencedError(f"the work on {host} was taken over by somebody else")
            granted = _within(steps, left_in(connection, limits, at)) if limits is not None else list(steps)
            wanted = [(step, change, change_to_json(change)) for step in granted for change in step.changes]
            if not wanted:
                return granted
            records = [_intended(run_id, host, plan_digest, *one, at) for one in wanted]
            first = append_in(connection, records) - len(records) + 1
            common = {"run": run_id, "host": host, "plan_digest": plan_digest, "recorded_at": at}
            common |= {"machine_id": machine_id, "fence": lease.fence if lease is not None else 0}
            rows = [
                {**common, "seq": seq, "step": step.id, "change_id": change.id, "change": body}
                for seq, (step, change, body) in enumerate(wanted, first)
            ]
            connection.execute(insert(intents), rows)
            return granted

    def close(
        self, run_id: str, outcomes: Sequence[Outcome], *, host: str, at: datetime, lease: Lease | None = None
    ) -> None:
        """Write down what became of changes, and use up the approvals they had; raises StoreError."""
        if outcomes:
            ended = _Ended(run_id, host, at, tuple(outcomes), lease)
            self._closing.add(ended)
            if ended.fenced:
                raise FencedError(f"the work on {host} was taken over by somebody else")

    def left(self, limits: Limits, *, at: datetime) -> int:
        """How many more changes the budgets allow now, with what is under way counted as made."""
        with self._database.read() as connection:
            return left_in(connection, limits, at)

    def spent(self, *, at: datetime) -> tuple[int, int]:
        """How many changes count for the budgets of this hour and this day."""
        with self._database.read() as connection:
            return _spent(connection, at)

    def unfinished(self, host: str | None = None) -> list[Intent]:
        """Intents without an outcome, oldest first."""
        query = select(intents).where(intents.c.closed_at.is_(None)).order_by(intents.c.seq)
        if host is not None:
            query = query.where(intents.c.host == host)
        with self._database.read() as connection:
            return [_intent(row) for row in connection.execute(query)]

    def made(self, hosts: Collection[str], actions: Sequence[Action], *, since: datetime) -> dict[str, list[Made]]:
        """Changes of these kinds that were made since then, by host, oldest first."""
        # Read as text first: among all that was made there are few of them.
        text = cast(intents.c.change, Text)
        of_kind = or_(*(text.contains(f'"action":"{action.value}"', autoescape=True) for action in actions))
        query = select(intents).where(intents.c.closed_at >= since, intents.c.state == State.DONE.value, of_kind)
        found: dict[str, list[Made]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query.order_by(intents.c.seq)):
                change = change_from_json(row.change)
                if row.host in hosts and change.action in actions:
                    found.setdefault(row.host, []).append(Made(row.run, change, row.closed_at))
        return found

    def _close_all(self, many: Sequence[_Ended]) -> None:
        with self._database.write() as connection:
            for ended in many:
                ended.fenced = ended.lease is not None and is_fenced(connection, ended.lease)
            every = [(ended, outcome) for ended in many if not ended.fenced for outcome in ended.outcomes]
            if every:
                append_in(connection, [_record(*one) for one in every])
                connection.execute(_CLOSE, [_closed(*one) for one in every])
                use_in(connection, [(outcome.change_id, ended.at) for ended, outcome in every if _touched(outcome)])


def left_in(connection: Connection, limits: Limits, at: datetime) -> int:
    """How many more changes the budgets allow, inside the caller's transaction."""
    hour, day = _spent(connection, at)
    return budgets.left(limits, last_hour=hour, last_day=day)


def _spent(connection: Connection, at: datetime) -> tuple[int, int]:
    """Changes of the last hour and of the last day; what is under way counts as made."""
    hour, day = at - timedelta(hours=1), at - timedelta(days=1)
    under_way = (intents.c.closed_at.is_(None)) & (intents.c.recorded_at > day)
    open_now = int(connection.scalar(select(func.count()).select_from(intents).where(under_way)) or 0)
    return actions_in(connection, hour) + open_now, actions_in(connection, day) + open_now


def _within(steps: Sequence[Step], left: int) -> list[Step]:
    """The first steps, as long as there is room for all changes of each."""
    granted: list[Step] = []
    for step in steps:
        left -= len(step.changes)
        if left < 0:
            break
        granted.append(step)
    return granted


def _intended(run_id: str, host: str, plan_digest: str, step: Step, change: Change, body: Json, at: datetime) -> Record:
    told = {"step": step.id, "op": step.op, "plan": plan_digest, "change": body}
    return Record(INTENT, run_id, host, told, at, change.id)


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
