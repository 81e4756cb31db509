"""The book of the model's calls: what each may use is on disk before it is made, and what it used after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, delete, func, insert, select, update

from maintenancebot.model import Json
from maintenancebot.policy.spending import (
    FAILURES,
    LONGEST_REST,
    SPANS,
    Call,
    Caps,
    Ended,
    Refusal,
    Silence,
    Use,
    over_budget,
    resting,
)
from maintenancebot.store.database import Database
from maintenancebot.store.tables import llm_answers, llm_calls

RESERVED, SETTLED, LOST = "reserved", "settled", "lost"
KEEP_ANSWERS = timedelta(days=90)

_ENDED = llm_calls.c.state != RESERVED


@dataclass(frozen=True)
class Totals:
    """All that was ever asked for a purpose."""

    use: Use
    calls: Mapping[str, int]  # by how they ended; "" for an answer


class Spending:
    """Reserves, settles and counts; the caps hold over threads, processes and restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(self, call: Call, caps: Caps, *, at: datetime) -> int | Refusal:
        """Set aside the most that a call may use, and return its number, or why it must not be made.

        Raises StoreError: what is not set aside is not asked.
        """
        with self._database.write() as connection:
            no = resting(*_recent(connection), at)
            if no is not None:
                return no
            told = over_budget(caps, _used(connection, at), call.most)
            if told:
                return Refusal(Silence.BUDGET_SPENT, told)
            row = {"at": at, "purpose": call.purpose, "model": call.model, "digest": call.digest, "state": RESERVED}
            most = {"reserved_tokens": call.most.tokens, "reserved_cost": call.most.cost}
            (number,) = connection.execute(insert(llm_calls), {**row, **most}).inserted_primary_key or (0,)
            return int(number)

    def settle(
        self,
        number: int,
        input_tokens: int,
        output_tokens: int,
        cost: int,
        *,
        at: datetime,
        reason: Silence = Silence.NONE,
        not_before: datetime | None = None,
    ) -> None:
        """Write down what a call used in truth: nothing where it was refused for a `reason`; raises StoreError."""
        tokens = {"input_tokens": input_tokens, "output_tokens": output_tokens, "cost": cost}
        self._end(number, SETTLED, at, reason, not_before, tokens)

    def lose(self, number: int, reason: Silence, *, at: datetime, not_before: datetime | None = None) -> None:
        """Nobody knows what a call used: what was set aside for it stays used. Raises StoreError."""
        self._end(number, LOST, at, reason, not_before, {})

    def used(self, at: datetime) -> dict[str, Use]:
        """What was used or set aside in the spans before now; raises StoreError."""
        with self._database.read() as connection:
            return _used(connection, at)

    def between(self, since: datetime, until: datetime) -> Use:
        """What calls that began in this time used; raises StoreError."""
        with self._database.read() as connection:
            return _sum(connection, llm_calls.c.at >= since, llm_calls.c.at < until)

    def totals(self) -> dict[str, Totals]:
        """Everything, by purpose; raises StoreError."""
        columns = (llm_calls.c.purpose, func.coalesce(llm_calls.c.reason, RESERVED))
        query = select(*columns, func.count(), *_SUMS).group_by(*columns)
        found: dict[str, Totals] = {}
        with self._database.read() as connection:
            for purpose, reason, count, tokens, cost in connection.execute(query):
                known = found.get(purpose, Totals(Use(), {}))
                calls = known.calls if reason == RESERVED else {**known.calls, reason: count}
                found[purpose] = Totals(known.use + Use(int(tokens), int(cost)), calls)
        return found

    def answer(self, digest: str) -> Json:
        """What was answered to exactly this before, None if nothing was; raises StoreError."""
        with self._database.read() as connection:
            return connection.scalar(select(llm_answers.c.body).where(llm_answers.c.digest == digest))

    def remember(self, digest: str, body: Json, *, at: datetime) -> None:
        """Keep an answer, so that the same facts get the same words; raises StoreError."""
        with self._database.write() as connection:
            old = (llm_answers.c.digest == digest) | (llm_answers.c.at < at - KEEP_ANSWERS)
            connection.execute(delete(llm_answers).where(old))
            connection.execute(insert(llm_answers), {"digest": digest, "at": at, "body": body})

    def _end(
        self,
        number: int,
        state: str,
        at: datetime,
        reason: Silence,
        not_before: datetime | None,
        tokens: Mapping[str, int],
    ) -> None:
        rest = min(not_before, at + LONGEST_REST) if not_before else None
        values: dict[str, Any] = {"state": state, "settled_at": at, "reason": reason.value, "not_before": rest}
        with self._database.write() as connection:
            this = (llm_calls.c.id == number, llm_calls.c.state == RESERVED)
            connection.execute(update(llm_calls).where(*this).values({**values, **tokens}))


def _counted(settled: ColumnElement[Any], reserved: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((llm_calls.c.state == SETTLED, settled), else_=reserved)


_TOKENS = _counted(llm_calls.c.input_tokens + llm_calls.c.output_tokens, llm_calls.c.reserved_tokens)
_COST = _counted(llm_calls.c.cost, llm_calls.c.reserved_cost)
_SUMS = (func.coalesce(func.sum(_TOKENS), 0), func.coalesce(func.sum(_COST), 0))


def _used(connection: Connection, at: datetime) -> dict[str, Use]:
    # What a clock that was set back dates in the future counts too.
    return {name: _sum(connection, llm_calls.c.at > at - span) for name, span in SPANS.items()}


def _sum(connection: Connection, *where: ColumnElement[bool]) -> Use:
    tokens, cost = connection.execute(select(*_SUMS).where(*where)).one()
    return Use(int(tokens), int(cost))


def _recent(connection: Connection) -> tuple[list[Ended], datetime | None]:
    """How the last calls ended, newest first, and when the newest began that is under way since then."""
    # By number: a clock that was set back dates old ones in the future.
    query = select(llm_calls).where(_ENDED).order_by(llm_calls.c.id.desc())
    ended = [
        Ended(row.settled_at, Silence(row.reason or ""), row.not_before)
        for row in connection.execute(query.limit(FAILURES))
    ]
    since = ended[0].at if ended else None
    begun = select(func.max(llm_calls.c.at)).where(~_ENDED)
    return ended, connection.scalar(begun.where(llm_calls.c.at >= since) if since else begun)
