"""Circuit breakers: after several failed runs in a row a host is left alone, then tried once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


class BreakerState(StrEnum):
    """Whether changes may be made to a host."""

    CLOSED = "closed"  # they may
    OPEN = "open"  # they may not, until a time has passed
    HALF_OPEN = "half-open"  # the time has passed: the next run decides


class Rules(Protocol):
    """When a breaker opens, and for how long."""

    @property
    def breaker_failures(self) -> int: ...
    @property
    def breaker_reset_minutes(self) -> int: ...


@dataclass(frozen=True)
class Breaker:
    """Failed runs in a row, and until when the breaker is open."""

    failures: int = 0
    open_until: datetime | None = None

    def state(self, now: datetime) -> BreakerState:
        """Closed, open or half-open."""
        if self.open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.open_until else BreakerState.HALF_OPEN


CLOSED = Breaker()


def objection(breaker: Breaker, now: datetime) -> str:
    """Why no change may be made, "" if it may."""
    if breaker.state(now) is not BreakerState.OPEN:
        return ""
    return (
        f"{breaker.failures} runs in a row failed on this host; left alone until {breaker.open_until:%Y-%m-%d %H:%M %Z}"
    )


def after_run(breaker: Breaker, *, failed: bool, rules: Rules, at: datetime) -> Breaker:
    """The breaker after a run that made changes: success closes it, and a failed trial opens it again at once."""
    if not failed:
        return CLOSED
    failures = breaker.failures + 1
    if failures < rules.breaker_failures and breaker.open_until is None:
        return Breaker(failures)
    return Breaker(failures, at + timedelta(minutes=rules.breaker_reset_minutes))
