"""Counts over the daemon's tables, for metrics and status: read in one go, written by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select

from maintenancebot.policy.approvals import ApprovalState
from maintenancebot.policy.episodes import ENDED
from maintenancebot.store.database import Database
from maintenancebot.store.tables import alerts, approvals, deliveries, episodes, messages, slots

Counts = Mapping[tuple[str, ...], int]


@dataclass(frozen=True)
class Snapshot:
    """All counts, as they stood at one instant; "" stands for a word that is not there yet."""

    alerts: Counts  # settled, by reason
    alerts_waiting: int
    open_episodes: Counts  # by state
    ended_episodes: Counts  # by rule and state
    slots: Counts  # by schedule, state and reason; no state while at work
    messages_waiting: int
    deliveries: Counts  # that are over, by target and state
    approvals_waiting: int


class Figures:
    """Counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def at(self, now: datetime) -> Snapshot:
        """Everything; raises StoreError."""
        is_over = episodes.c.state.in_([state.value for state in ENDED])
        asked = (approvals.c.state == ApprovalState.PENDING.value, approvals.c.expires_at > now)
        with self._database.read() as connection:
            return Snapshot(
                alerts=_by(connection, alerts, "reason", where=(alerts.c.settled_at.is_not(None),)),
                alerts_waiting=_by(connection, alerts, where=(alerts.c.settled_at.is_(None),))[()],
                open_episodes=_by(connection, episodes, "state", where=(~is_over,)),
                ended_episodes=_by(connection, episodes, "rule", "state", where=(is_over,)),
                slots=_by(connection, slots, "schedule", "state", "reason"),
                messages_waiting=_by(connection, messages, where=(messages.c.sent_at.is_(None),))[()],
                deliveries=_by(connection, deliveries, "target", "state", where=(deliveries.c.ended_at.is_not(None),)),
                approvals_waiting=_by(connection, approvals, where=asked)[()],
            )


def _by(connection: Connection, table: Table, *names: str, where: tuple[Any, ...] = ()) -> dict[tuple[str, ...], int]:
    """How many rows there are of each combination of words; without words, of the one that there is."""
    columns = [table.c[name] for name in names]
    query = select(func.count(), *columns).select_from(table).where(*where).group_by(*columns)
    return {tuple(str(word or "") for word in words): int(count) for count, *words in connection.execute(query)}
