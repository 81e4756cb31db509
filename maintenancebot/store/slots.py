"""Slots of the schedules: each is claimed once, on disk before its run begins, and finished afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from maintenancebot.model import Json, Reason, State
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.owners import is_gone, owner_from_json, this_process
from maintenancebot.store.tables import slots

LONGEST = timedelta(days=2)
"""No run takes so long; a claim of another machine that is older belongs to nobody any more."""


@dataclass(frozen=True)
class Slot:
    """One slot as it is recorded."""

    schedule: str
    slot: int  # seconds since the epoch
    rule: str
    claimed_at: datetime
    owner: Mapping[str, Json]
    run: str  # "" when nothing ran
    finished_at: datetime | None
    state: State | None
    reason: Reason | None
    detail: str


class Slots:
    """Claims slots; of several processes that want the same one, one gets it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._us = this_process()

    def last(self, schedule: str, *, at: datetime, rule: str | None = None) -> Slot | None:
        """What was recorded last, of any rule or of this one; raises StoreError.

        What a clock that was wrong put into the future is not seen.
        """
        known = (slots.c.schedule == schedule) & (slots.c.slot <= at.timestamp()) & (slots.c.claimed_at <= at)
        if rule is not None:
            known &= slots.c.rule == rule
        query = select(slots).where(known).order_by(slots.c.claimed_at.desc(), slots.c.slot.desc()).limit(1)
        return next(iter(self._read(query)), None)

    def recent(self, limit: int) -> list[Slot]:
        """The newest, newest first; raises StoreError."""
        return self._read(select(slots).order_by(slots.c.claimed_at.desc(), slots.c.slot.desc()).limit(limit))

    def between(self, since: datetime, until: datetime) -> list[Slot]:
        """Those of a time that are over, oldest first; raises StoreError."""
        query = select(slots).where(slots.c.slot >= since.timestamp(), slots.c.slot < until.timestamp())
        return self._read(query.where(slots.c.finished_at.is_not(None)).order_by(slots.c.slot, slots.c.schedule))

    def claim(self, schedule: str, slot: int, rule: str, run: str, *, at: datetime) -> bool:
        """Make the slot ours, durably; False when it is somebody's already. Raises StoreError."""
        with self._database.write() as connection:
            if _is_there(connection, schedule, slot):
                return False
            connection.execute(insert(slots), self._row(schedule, slot, rule, at, run=run))
            _note(connection, "slot_claimed", schedule, slot, at, run=run)
            return True

    def finish(
        self, schedule: str, slot: int, state: State, reason: Reason = Reason.NONE, detail: str = "", *, at: datetime
    ) -> None:
        """Write down how a slot's run ended; raises StoreError."""
        with self._database.write() as connection:
            ended = {"finished_at": at, "state": state.value, "reason": reason.value, "detail": detail}
            connection.execute(update(slots).where(*_of(schedule, slot)).values(ended))
            _note(connection, "slot_finished", schedule, slot, at, state=state.value, reason=reason.value)

    def miss(self, schedule: str, missed: Mapping[int, str], rule: str, *, at: datetime) -> list[int]:
        """Record slots that nobody could begin in time, each with why; returns those that nobody had recorded."""
        with self._database.write() as connection:
            new = [slot for slot in sorted(missed) if not _is_there(connection, schedule, slot)]
            for slot in new:
                ended = {"finished_at": at, "state": State.SKIPPED.value, "reason": Reason.MISSED.value}
                row = self._row(schedule, slot, rule, at, detail=missed[slot], **ended)
                connection.execute(insert(slots), row)
                _note(connection, "slot_missed", schedule, slot, at, detail=missed[slot])
        return new

    def begin(self, schedule: str, slot: int, rule: str, *, at: datetime) -> None:
        """Record where a schedule's past begins: with the last slot before it was switched on. Raises StoreError."""
        with self._database.write() as connection:
            if _is_there(connection, schedule, slot):
                connection.execute(update(slots).where(*_of(schedule, slot)).values(rule=rule, claimed_at=at))
            else:
                ended = {"finished_at": at, "state": State.NOTHING.value, "reason": Reason.NONE.value}
                connection.execute(insert(slots), self._row(schedule, slot, rule, at, **ended))
            _note(connection, "schedule_on", schedule, slot, at, rule=rule)

    def retire(self, on: Collection[str]) -> None:
        """Forget the rules of schedules that are not on any more, so that they have no past when they come back."""
        off = slots.c.schedule.not_in(on) & (slots.c.rule != "")
        with self._database.read() as connection:
            if connection.execute(select(slots.c.slot).where(off).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(update(slots).where(off).values(rule=""))

    def abandoned(self, *, at: datetime) -> list[Slot]:
        """Slots whose process ended before it finished them, oldest first; raises StoreError."""
        query = select(slots).where(slots.c.finished_at.is_(None)).order_by(slots.c.claimed_at)
        return [slot for slot in self._read(query) if self._is_abandoned(slot, at)]

    def take_over(self, slot: Slot, *, at: datetime) -> bool:
        """Make an abandoned slot ours; False when somebody else was quicker. Raises StoreError."""
        with self._database.write() as connection:
            still = (*_of(slot.schedule, slot.slot), slots.c.owner == slot.owner, slots.c.finished_at.is_(None))
            taken = connection.execute(update(slots).where(*still).values(owner=self._us.to_json()))
            if taken.rowcount:
                _note(connection, "slot_taken_over", slot.schedule, slot.slot, at, run=slot.run)
            return bool(taken.rowcount)

    def _is_abandoned(self, slot: Slot, at: datetime) -> bool:
        owner = owner_from_json(slot.owner)
        return owner != self._us and (is_gone(owner, self._us) or at - slot.claimed_at > LONGEST)

    def _row(self, schedule: str, slot: int, rule: str, at: datetime, **more: object) -> dict[str, object]:
        row = {"schedule": schedule, "slot": slot, "rule": rule, "claimed_at": at, "owner": self._us.to_json()}
        return {**row, "run": "", "detail": "", **more}

    def _read(self, query: Any) -> list[Slot]:
        with self._database.read() as connection:
            return [_slot(row) for row in connection.execute(query).mappings()]


def _of(schedule: str, slot: int) -> tuple[ColumnElement[bool], ...]:
    return slots.c.schedule == schedule, slots.c.slot == slot


def _is_there(connection: Connection, schedule: str, slot: int) -> bool:
    return connection.execute(select(slots.c.slot).where(*_of(schedule, slot))).first() is not None


def _note(connection: Connection, kind: str, schedule: str, slot: int, at: datetime, **more: Json) -> None:
    run = str(more.pop("run", ""))
    append_in(connection, [Record(kind, run, "", {"schedule": schedule, "slot": slot, **more}, at)])


def _slot(row: Any) -> Slot:
    state, reason = row["state"], row["reason"]
    words = {"state": State(state) if state else None, "reason": None if reason is None else Reason(reason)}
    return Slot(**{**row, **words, "detail": row["detail"] or ""})
