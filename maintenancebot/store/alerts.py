"""Alerts as they came in: stored before the sender is answered, each once, however often it is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, exists, insert, not_, or_, select, update

from maintenancebot.model import Json, Reason
from maintenancebot.policy.episodes import FIRING, OUR_OWN, Alert, EpisodeState, Verdict
from maintenancebot.store.database import Database
from maintenancebot.store.tables import alerts, episodes

HEARD_FOR = timedelta(hours=12)
"""After so long without being heard again an alert counts as over: that it is resolved may never be said."""

CRITICAL = "critical"
AT_ONCE = 500  # keys in one question

LAID_ASIDE = (
    *(Reason.COOLDOWN, Reason.SAME_EPISODE, Reason.CAP_REACHED, Reason.FLAPPING),
    *(Reason.STALE, Reason.MAINTENANCE, Reason.UNKNOWN_HOST),
)
"""Reasons that may be over when the alert is heard again."""

ASIDE_FOR = timedelta(minutes=1)
"""How long an alert of such a reason rests: a storm of its copies is no work."""

_WAS_ESCALATED = exists().where(episodes.c.id == alerts.c.episode, episodes.c.state == EpisodeState.ESCALATED.value)
_IS_OPEN_AGAIN = or_(
    alerts.c.reason == Reason.RESOLVED.value,
    and_(
        or_(*(alerts.c.reason == reason.value for reason in LAID_ASIDE)),  # `in` cannot be asked for many rows at once
        alerts.c.settled_at < bindparam("rested"),
        not_(_WAS_ESCALATED),  # what a person was told of is not tried again for the same alert
    ),
)
"""What was laid aside, and is firing still or again, is taken up after all."""

_HEARD = (
    update(alerts)
    .where(alerts.c.key == bindparam("of_key"))
    .values(
        times=alerts.c.times + bindparam("more"),
        last_at=bindparam("heard"),
        status=bindparam("said"),
        settled_at=case((and_(bindparam("said") == FIRING, _IS_OPEN_AGAIN), None), else_=alerts.c.settled_at),
    )
)
_SETTLED = (
    update(alerts)
    .where(alerts.c.id == bindparam("of_alert"))
    .values(
        settled_at=bindparam("at"),
        host=bindparam("of_host"),
        reason=bindparam("why"),
        detail=bindparam("told"),
        episode=bindparam("of_episode"),
    )
)


@dataclass(frozen=True)
class Received:
    """An alert of a message; its key is the same whenever the same alert is sent again."""

    key: str
    source: str
    name: str
    status: str  # firing or resolved
    labels: Mapping[str, str]
    at: datetime
    more: Mapping[str, Json]  # what else is to be recorded: what was left out, and how many were cut off


class Alerts:
    """Receives, lists and settles alerts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def receive(self, rows: Sequence[Received]) -> None:
        """Store what came in, all or nothing; a copy of a stored alert is only counted. Raises StoreError."""
        if not rows:
            return
        heard = _heard(rows)
        with self._database.write() as connection:
            known = _known(connection, list(heard))
            new = [_row(row, times) for key, (row, times) in heard.items() if key not in known]
            again = [_again(row, times) for key, (row, times) in heard.items() if key in known]
            if new:
                connection.execute(insert(alerts), new)
            if again:
                connection.execute(_HEARD, again)

    def unsettled(self, limit: int) -> list[Alert]:
        """Those that nobody has taken up, oldest first."""
        with self._database.read() as connection:
            return unsettled_in(connection, limit)

    def critical(self, host: str, *, at: datetime) -> list[str]:
        """Names of others' critical alerts about a host that were firing when they were heard last."""
        query = select(alerts.c.body).where(
            alerts.c.host == host, alerts.c.last_at > at - HEARD_FOR, alerts.c.status == FIRING
        )
        with self._database.read() as connection:
            bodies = list(connection.scalars(query))
        names = {body["name"] for body in bodies if body["labels"].get("severity") == CRITICAL}
        return sorted(name for name in names if not name.startswith(OUR_OWN))

    def forget(self, before: datetime) -> None:
        """Remove what was settled, and heard last, before this time."""
        with self._database.write() as connection:
            connection.execute(delete(alerts).where(alerts.c.settled_at < before, alerts.c.last_at < before))


def unsettled_in(connection: Connection, limit: int) -> list[Alert]:
    """Those that nobody has taken up, oldest first, inside the caller's transaction."""
    query = select(alerts).where(alerts.c.settled_at.is_(None)).order_by(alerts.c.id).limit(limit)
    return [_alert(row) for row in connection.execute(query)]


def settle_in(connection: Connection, verdicts: Sequence[Verdict], at: datetime) -> None:
    """Write down what alerts came to, inside the caller's transaction."""
    rows = [
        {
            "of_alert": one.alert,
            "at": at,
            "of_host": one.host,
            "why": one.reason.value,
            "told": one.detail,
            "of_episode": one.episode or None,
        }
        for one in verdicts
    ]
    if rows:
        connection.execute(_SETTLED, rows)


def _heard(rows: Sequence[Received]) -> dict[str, tuple[Received, int]]:
    """The last word on each key, and how often it came."""
    heard: dict[str, tuple[Received, int]] = {}
    for row in rows:
        heard[row.key] = (row, heard[row.key][1] + 1 if row.key in heard else 1)
    return heard


def _known(connection: Connection, keys: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(keys), AT_ONCE):
        some = keys[start : start + AT_ONCE]
        found |= set(connection.scalars(select(alerts.c.key).where(alerts.c.key.in_(some))))
    return found


def _row(row: Received, times: int) -> dict[str, Any]:
    return {
        "received_at": row.at,
        "source": row.source,
        "key": row.key,
        "status": row.status,
        "body": {"name": row.name, "labels": dict(row.labels), **row.more},
        "times": times,
        "last_at": row.at,
        "host": "",
    }


def _again(row: Received, times: int) -> dict[str, Any]:
    return {"of_key": row.key, "more": times, "heard": row.at, "said": row.status, "rested": row.at - ASIDE_FOR}


def _alert(row: Any) -> Alert:
    return Alert(
        id=row.id,
        key=row.key,
        source=row.source,
        name=row.body["name"],
        status=row.status,
        received_at=row.received_at,
        last_at=row.last_at,
        labels=row.body["labels"],
    )
