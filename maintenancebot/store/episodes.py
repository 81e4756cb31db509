"""Episodes: opened together with what their alerts come to, and moved on step by step, each with its audit row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, or_, select, update

from maintenancebot.errors import StoreError
from maintenancebot.model import Json, Reason
from maintenancebot.policy.episodes import ENDED, Alert, Episode, EpisodeState, Verdict
from maintenancebot.store.alerts import settle_in, unsettled_in
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.intents import TOUCHED
from maintenancebot.store.messages import put_in
from maintenancebot.store.tables import episodes, intents

_OVER = tuple(state.value for state in ENDED)
_IS_OPEN = episodes.c.state.not_in(_OVER)


@dataclass(frozen=True)
class Telling:
    """A message that is kept together with the step that it is about."""

    key: str
    kind: str
    body: dict[str, Json]


class Episodes:
    """Writes and finds episodes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_up(
        self,
        limit: int,
        judge: Callable[[Sequence[Alert], Sequence[Episode]], Sequence[Verdict]],
        tell: Callable[[Episode], Telling | None],
        *,
        since: datetime,
        at: datetime,
    ) -> list[Verdict]:
        """Settle the oldest alerts by what `judge` says of them beside the episodes since a time, in one transaction.

        Two processes that do so at once never open two episodes of one thing. Raises StoreError.
        """
        with self._database.write() as connection:
            waiting = unsettled_in(connection, limit)
            verdicts = list(judge(waiting, _since(connection, since))) if waiting else []
            for opened in (one.opens for one in verdicts if one.opens):
                connection.execute(insert(episodes), _row(opened))
                _write_down(connection, opened, tell(opened))
            settle_in(connection, verdicts, at)
        return verdicts

    def get(self, id: str) -> Episode:
        """The episode of this id; raises StoreError when there is none."""
        with self._database.read() as connection:
            row = connection.execute(select(episodes).where(episodes.c.id == id)).first()
        if row is None:
            raise StoreError(f"there is no episode {id}")
        return _episode(row)

    def open(self) -> list[Episode]:
        """Those that are not over, oldest first."""
        query = select(episodes).where(_IS_OPEN).order_by(episodes.c.opened_at, episodes.c.id)
        with self._database.read() as connection:
            return [_episode(row) for row in connection.execute(query)]

    def latest(self, limit: int = 50) -> list[Episode]:
        """The newest, newest first."""
        query = select(episodes).order_by(episodes.c.opened_at.desc(), episodes.c.id).limit(limit)
        with self._database.read() as connection:
            return [_episode(row) for row in connection.execute(query)]

    def between(self, since: datetime, until: datetime) -> list[Episode]:
        """Those that were opened or ended in a time, oldest first."""
        opened = (episodes.c.opened_at >= since) & (episodes.c.opened_at < until)
        ended = (episodes.c.closed_at >= since) & (episodes.c.closed_at < until)
        query = select(episodes).where(opened | ended).order_by(episodes.c.opened_at, episodes.c.id)
        with self._database.read() as connection:
            return [_episode(row) for row in connection.execute(query)]

    def move(self, episode: Episode, telling: Telling | None = None) -> None:
        """Store the step that an episode has come to, with its message; raises StoreError, also if it is over."""
        with self._database.write() as connection:
            query = update(episodes).where(episodes.c.id == episode.id, _IS_OPEN).values(_row(episode))
            if connection.execute(query).rowcount != 1:
                raise StoreError(f"episode {episode.id} is over, or not there any more")
            _write_down(connection, episode, telling)

    def touched(self, runs: Sequence[str]) -> set[str]:
        """Ids of the changes that these runs made, tried, or may have made."""
        query = select(intents.c.change_id).where(
            intents.c.run.in_(runs),
            or_(intents.c.closed_at.is_(None), intents.c.state.in_([one.value for one in TOUCHED])),
        )
        with self._database.read() as connection:
            return set(connection.scalars(query))


def _since(connection: Connection, since: datetime) -> list[Episode]:
    query = select(episodes).where(or_(_IS_OPEN, episodes.c.opened_at >= since, episodes.c.closed_at >= since))
    return [_episode(row) for row in connection.execute(query.order_by(episodes.c.opened_at, episodes.c.id))]


def _write_down(connection: Connection, episode: Episode, telling: Telling | None) -> None:
    body = {
        "episode": episode.id,
        "rule": episode.rule,
        "subject": episode.subject,
        "state": episode.state.value,
        "reason": episode.reason.value,
        "detail": episode.detail,
    }
    append_in(connection, [Record("episode", episode.run, episode.host, body, episode.changed_at)])
    if telling is not None:
        put_in(connection, telling.key, telling.kind, telling.body, episode.changed_at)


def _row(episode: Episode) -> dict[str, Any]:
    return {
        "id": episode.id,
        "rule": episode.rule,
        "host": episode.host,
        "subject": episode.subject,
        "state": episode.state.value,
        "reason": episode.reason.value,
        "detail": episode.detail,
        "body": dict(episode.body),
        "run": episode.run,
        "opened_at": episode.opened_at,
        "changed_at": episode.changed_at,
        "closed_at": episode.closed_at,
    }


def _episode(row: Any) -> Episode:
    values = {**row._mapping, "state": EpisodeState(row.state), "reason": Reason(row.reason)}
    return Episode(**values)
