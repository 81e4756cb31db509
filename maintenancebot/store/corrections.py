"""Corrections of declared items, as they were recorded before and after the act: what fights are known by."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from maintenancebot.model import Change, Reason, State
from maintenancebot.plan.document import change_from_json
from maintenancebot.store.database import Database
from maintenancebot.store.tables import intents

STEP = "correct-"
"""How the names of their steps begin."""

WENT_WRONG = frozenset({Reason.REVERTED, Reason.REVERT_FAILED, Reason.UNHEALTHY, Reason.NO_EFFECT})
"""Reasons of a correction that was made and did not hold; others failed before anything was touched."""


@dataclass(frozen=True)
class Corrected:
    """A correction that was made, or may have been."""

    host: str
    change: Change
    at: datetime
    held: bool  # it was measured afterwards, and nothing was taken back


class Corrections:
    """Reads the corrections among all that was intended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self, hosts: Collection[str], since: datetime) -> dict[str, list[Corrected]]:
        """Those that were made or tried since a time, by host, oldest first; raises StoreError."""
        query = select(intents).where(
            intents.c.step.startswith(STEP, autoescape=True),
            or_(intents.c.closed_at >= since, intents.c.closed_at.is_(None)),
        )
        found: dict[str, list[Corrected]] = {}
        with self._database.read() as connection:
            for row in connection.execute(query.order_by(intents.c.seq)):
                if row.host in hosts and _was_tried(row):
                    made = Corrected(
                        row.host,
                        change_from_json(row.change),
                        row.closed_at or row.recorded_at,
                        row.state == State.DONE,
                    )
                    found.setdefault(row.host, []).append(made)
        return found


def _was_tried(row: Any) -> bool:
    """What has no outcome yet may have been made."""
    if row.closed_at is None or row.state in (State.DONE, State.UNKNOWN):
        return True
    return row.state == State.FAILED and row.reason in WENT_WRONG
