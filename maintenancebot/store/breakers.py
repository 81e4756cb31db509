"""Circuit breakers and the effects that they count, kept over restarts and shared by all processes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select

from maintenancebot.model import Json
from maintenancebot.policy.breakers import (
    CLOSED,
    Breaker,
    BreakerState,
    Effect,
    Key,
    Rules,
    Scope,
    keys,
    learned,
    objection,
    tried,
    untried,
)
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import breakers, effects


@dataclass(frozen=True)
class Transition:
    """A breaker that changed."""

    key: Key
    before: BreakerState
    after: BreakerState
    breaker: Breaker


class Breakers:
    """Asks and teaches the breakers of hosts, rules, groups and the fleet; each change goes into the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[Key, Breaker]:
        """Every breaker that ever counted something and was not closed since; raises StoreError."""
        with self._database.read() as connection:
            return _all(connection)

    def admit(
        self, run: str, host: str, groups: Collection[str], wanted: Iterable[str], *, rules: Rules, at: datetime
    ) -> tuple[dict[str, str], list[Transition]]:
        """Ask right before the work on a host: by rule why it must not be done, for those that must not.

        A half-open breaker that nobody tries is tried by this host from now on. Raises StoreError.
        """
        known = self.all()
        told = {rule: objection(known, host, groups, rule, at) for rule in wanted}
        if all(told.values()) or not any(one.open_until for one in known.values()):
            return {rule: no for rule, no in told.items() if no}, []
        with self._database.write() as connection:
            known = _all(connection)
            told = {rule: objection(known, host, groups, rule, at) for rule in told}
            mine = {key for rule, no in told.items() if not no for key in keys(host, groups, rule)}
            changed = _change(
                connection, mine, lambda key: tried(known.get(key, CLOSED), host, rules, at), at, host, run
            )
            return {rule: no for rule, no in told.items() if no}, changed

    def learn(
        self,
        run: str,
        host: str,
        groups: Collection[str],
        made: Mapping[str, bool | None],
        *,
        rules: Rules,
        at: datetime,
    ) -> list[Transition]:
        """Teach them what was done to a host, by rule; the host's own counts it as one. Raises StoreError."""
        told = [Effect(rule, host, tuple(groups), good) for rule, good in made.items() if good is not None]
        if not told and not any(one.trial == host for one in self.all().values()):
            return []
        with self._database.write() as connection:
            recent = _remember(connection, told, at, at - timedelta(minutes=rules.breaker_reset_minutes))
            changed: list[Transition] = []
            for one in told:
                changed += _learn(connection, [Key(Scope.RULE, one.rule)], one, recent, rules, at, run)
            if told:  # for all but the rules it was one piece of work
                whole = Effect("", host, tuple(groups), all(one.good for one in told))
                others = [key for key in keys(host, groups, "") if key.scope is not Scope.RULE]
                changed += _learn(connection, others, whole, recent, rules, at, run)
            left = {key: one for key, one in _all(connection).items() if one.trial == host}
            return changed + _change(connection, left, lambda key: untried(left[key], host), at, host, run)

    def reset(self, keys: Collection[Key] | None, by: str, *, at: datetime) -> list[Key]:
        """Close these, or all, on a person's word, and return which were not closed; raises StoreError."""
        with self._database.write() as connection:
            known = _all(connection)
            closed = [key for key in known if keys is None or key in keys]
            for key in closed:
                _write(connection, key, CLOSED)
                body: dict[str, Json] = {"scope": key.scope.value, "name": key.name, "state": "closed", "by": by}
                append_in(connection, [Record("breaker", "", _host(key), body, at)])
            _forget(connection, closed)
            return closed


def _learn(
    connection: Connection,
    wanted: Iterable[Key],
    new: Effect,
    recent: list[Effect],
    rules: Rules,
    at: datetime,
    run: str,
) -> list[Transition]:
    known = _all(connection)

    def after(key: Key) -> Breaker:
        return learned(key, known.get(key, CLOSED), new, recent, rules, at)

    return _change(connection, wanted, after, at, new.host, run)


def _change(
    connection: Connection, wanted: Iterable[Key], after: Callable[[Key], Breaker], at: datetime, host: str, run: str
) -> list[Transition]:
    """Write what is new of these breakers; an opening, a try and a closing go into the audit log."""
    known = _all(connection)
    changed = []
    for key in sorted(wanted, key=lambda one: (one.scope, one.name)):
        old, new = known.get(key, CLOSED), after(key)
        if new == old:
            continue
        _write(connection, key, new)
        if (new.open_until, new.trial) != (old.open_until, old.trial):
            change = Transition(key, old.state(at), new.state(at), new)
            append_in(connection, [Record("breaker", run, _host(key), _told(change, host), at)])
            changed.append(change)
    return changed


def _told(change: Transition, host: str) -> dict[str, Json]:
    until = change.breaker.open_until
    return {
        "scope": change.key.scope.value,
        "name": change.key.name,
        "state": change.after.value,
        "failures": change.breaker.failures,
        "open_until": until and until.isoformat(),
        "trial": change.breaker.trial,
        "by": host,
    }


def _host(key: Key) -> str:
    return key.name if key.scope is Scope.HOST else ""


def _all(connection: Connection) -> dict[Key, Breaker]:
    return {
        Key(Scope(row.scope), row.name): Breaker(row.failures, row.open_until, row.trial or "", row.trial_until)
        for row in connection.execute(select(breakers))
    }


def _write(connection: Connection, key: Key, breaker: Breaker) -> None:
    connection.execute(delete(breakers).where(breakers.c.scope == key.scope.value, breakers.c.name == key.name))
    if breaker != CLOSED:
        row = {"scope": key.scope.value, "name": key.name, **asdict(breaker), "trial": breaker.trial or None}
        connection.execute(insert(breakers), row)


def _remember(connection: Connection, told: list[Effect], at: datetime, since: datetime) -> list[Effect]:
    """Keep the new effects, let go of the old ones, and return all that count, oldest first."""
    connection.execute(delete(effects).where(effects.c.at <= since))
    if told:
        rows = [{**asdict(one), "groups": list(one.groups), "good": int(one.good), "at": at} for one in told]
        connection.execute(insert(effects), rows)
    if all(one.good for one in told):  # nothing is counted then
        return told
    found = connection.execute(select(effects).order_by(effects.c.id))
    return [Effect(row.rule, row.host, tuple(row.groups), bool(row.good)) for row in found]


def _forget(connection: Connection, closed: Iterable[Key]) -> None:
    """What a person has settled does not count any more."""
    for key in closed:
        match key.scope:
            case Scope.HOST:
                connection.execute(delete(effects).where(effects.c.host == key.name))
            case Scope.RULE:
                connection.execute(delete(effects).where(effects.c.rule == key.name))
            case Scope.FLEET:
                connection.execute(delete(effects))
            case Scope.GROUP:
                of_group = [r.id for r in connection.execute(select(effects)) if key.name in r.groups]
                connection.execute(delete(effects).where(effects.c.id.in_(of_group)))
