"""Circuit breakers: where changes keep having bad effects nothing more is made for a while, then one host tries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from maintenancebot.model import Outcome, Reason, State


class BreakerState(StrEnum):
    """Whether changes may be made."""

    CLOSED = "closed"  # they may
    OPEN = "open"  # they may not, until a time has passed
    HALF_OPEN = "half-open"  # the time has passed: one host tries, the others wait for how it goes


class Scope(StrEnum):
    """What a breaker is about."""

    HOST = "host"  # a host on which several pieces of work in a row went badly
    RULE = "rule"  # a task type or a remedy that went badly on several hosts
    GROUP = "group"  # a group of which several hosts went badly, whatever was done to them
    FLEET = "fleet"  # so many hosts went badly that it is more than one group's trouble


FLEET = "all"
"""The name of the fleet's one breaker."""


class Rules(Protocol):
    """When breakers open, and for how long."""

    @property
    def breaker_failures(self) -> int: ...
    @property
    def breaker_hosts(self) -> int: ...
    @property
    def breaker_fleet_hosts(self) -> int: ...
    @property
    def breaker_reset_minutes(self) -> int: ...


@dataclass(frozen=True)
class Key:
    """Which breaker."""

    scope: Scope
    name: str


@dataclass(frozen=True)
class Breaker:
    """Failures that count, until when the breaker is open, and who tries for the others after that."""

    failures: int = 0
    open_until: datetime | None = None
    trial: str = ""  # a host
    trial_until: datetime | None = None  # then another one may try: this one never told how it went

    def state(self, now: datetime) -> BreakerState:
        """Closed, open or half-open."""
        if self.open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN

    def tries(self, now: datetime) -> str:
        """The host whose try is awaited, "" for none."""
        return self.trial if self.trial_until is not None and now < self.trial_until else ""


@dataclass(frozen=True)
class Effect:
    """What one piece of work by one rule did to one host."""

    rule: str
    host: str
    groups: tuple[str, ...]
    good: bool


CLOSED = Breaker()

BAD = frozenset({Reason.NO_EFFECT, Reason.NOT_ENOUGH, Reason.UNHEALTHY})
"""A change that was made without an error, and did no good."""

NOT_KNOWN_YET = frozenset({Reason.UNFINISHED, Reason.BUSY})
"""Still at work on the host: the next start finds out."""


def effect(outcomes: Iterable[Outcome]) -> bool | None:
    """Whether a piece of work did good: effects count, not errors. None: nothing was tried."""
    tried = [one for one in outcomes if one.begun and one.reason not in NOT_KNOWN_YET]
    if any(one.state in (State.FAILED, State.UNKNOWN) or one.reason in BAD for one in tried):
        return False
    return True if any(one.state is State.DONE for one in tried) else None


def keys(host: str, groups: Iterable[str], rule: str) -> list[Key]:
    """The breakers that all have to be closed for a rule's work on a host."""
    of_groups = [Key(Scope.GROUP, group) for group in groups]
    return [Key(Scope.HOST, host), Key(Scope.RULE, rule), *of_groups, Key(Scope.FLEET, FLEET)]


def objection(breakers: Mapping[Key, Breaker], host: str, groups: Iterable[str], rule: str, now: datetime) -> str:
    """Why no change by this rule may be made on a host, "" if it may; closed breakers need not be in the mapping."""
    for key in keys(host, groups, rule):
        breaker = breakers.get(key, CLOSED)
        state, tries = breaker.state(now), breaker.tries(now)
        if state is BreakerState.OPEN:
            return f"{_words(key, breaker)}; left alone until {breaker.open_until:%Y-%m-%d %H:%M %Z}"
        if state is BreakerState.HALF_OPEN and tries not in ("", host):
            return f"{_words(key, breaker)}; {tries} tries first"
    return ""


def tried(breaker: Breaker, host: str, rules: Rules, now: datetime) -> Breaker:
    """The breaker when work on a host begins: one that is half-open and free has its try now."""
    if breaker.state(now) is not BreakerState.HALF_OPEN or breaker.tries(now):
        return breaker
    return replace(breaker, trial=host, trial_until=now + timedelta(minutes=rules.breaker_reset_minutes))


def learned(key: Key, breaker: Breaker, new: Effect, recent: Sequence[Effect], rules: Rules, at: datetime) -> Breaker:
    """The breaker after an effect; `recent` has those of the reset time, oldest first, the new one included."""
    if new.good:
        if breaker.state(at) is BreakerState.CLOSED:
            return CLOSED if key.scope is Scope.HOST else breaker
        return CLOSED if breaker.tries(at) == new.host else breaker
    failures = breaker.failures + 1 if key.scope is Scope.HOST else failing(key, recent)
    if failures < _limit(key.scope, rules) and breaker.state(at) is BreakerState.CLOSED:
        return Breaker(failures)
    return Breaker(failures, at + timedelta(minutes=rules.breaker_reset_minutes))


def untried(breaker: Breaker, host: str) -> Breaker:
    """The breaker when the host that was to try had nothing to do after all."""
    return replace(breaker, trial="", trial_until=None) if breaker.trial == host else breaker


def failing(key: Key, recent: Sequence[Effect]) -> int:
    """How many hosts went badly last time, of those that this breaker is about."""
    last = {(one.host, one.rule): one for one in recent if _is_about(key, one)}
    return len({host for (host, _), one in last.items() if not one.good})


def _is_about(key: Key, effect: Effect) -> bool:
    match key.scope:
        case Scope.HOST:
            return effect.host == key.name
        case Scope.RULE:
            return effect.rule == key.name
        case Scope.GROUP:
            return key.name in effect.groups
        case Scope.FLEET:
            return True


def _limit(scope: Scope, rules: Rules) -> int:
    match scope:
        case Scope.HOST:
            return rules.breaker_failures
        case Scope.FLEET:
            return rules.breaker_fleet_hosts
        case _:
            return rules.breaker_hosts


def _words(key: Key, breaker: Breaker) -> str:
    many = breaker.failures
    match key.scope:
        case Scope.HOST:
            return f"{many} times in a row changes went badly on this host" if many > 1 else "changes went badly here"
        case Scope.RULE:
            return f"{key.name} went badly on {_hosts(many)}"
        case Scope.GROUP:
            return f"changes went badly on {_hosts(many)} of group {key.name}"
        case Scope.FLEET:
            return f"changes went badly on {_hosts(many)} of the fleet"


def _hosts(count: int) -> str:
    return "1 host" if count == 1 else f"{count} hosts"
