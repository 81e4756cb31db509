"""What calls of the model may use: caps over sliding spans, a breaker on its endpoint, and what a call costs. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

MICRO = 1_000_000
"""Costs are kept in millionths of a dollar, whole ones: sums are exact. A price for a million tokens is then the
price of one."""

SPANS: Mapping[str, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "month": timedelta(days=30)}
FAILURES = 3
"""Calls in a row that have to fail until the endpoint is left alone."""

REST = timedelta(minutes=15)
LONGEST_REST = timedelta(hours=1)
"""However long the endpoint wants to be left alone."""

_SKEW = timedelta(minutes=5)
"""Between processes; what lies further ahead than a rest and this was written before the clock was set back."""


class Silence(StrEnum):
    """Why there is no answer of the model."""

    NONE = ""  # there is one
    NOT_CONFIGURED = "not_configured"  # no section `llm`, or no key
    BUDGET_SPENT = "budget_spent"
    BREAKER_OPEN = "breaker_open"  # it failed several times in a row, and is left alone for a while
    LEFT_ALONE = "left_alone"  # it said that it wants no calls until a time
    STATE_UNWRITABLE = "state_unwritable"  # what is not reserved is not asked
    UNREACHABLE = "unreachable"  # nobody listens at its address
    KEY_REFUSED = "key_refused"
    REQUEST_REFUSED = "request_refused"  # an unknown model, or a request that the endpoint does not take
    RATE_LIMITED = "rate_limited"
    ENDPOINT_FAILED = "endpoint_failed"  # a fault of its own
    LATE = "late"  # no answer in time
    UNREADABLE = "unreadable"  # half an answer, too long a one, or none of the agreed form
    UNUSABLE = "unusable"  # declined, or broken off at the longest answer
    NOT_TRUE = "not_true"  # it says what the facts do not


FAULTS = frozenset(
    {
        Silence.UNREACHABLE,
        Silence.KEY_REFUSED,
        Silence.REQUEST_REFUSED,
        Silence.RATE_LIMITED,
        Silence.ENDPOINT_FAILED,
        Silence.LATE,
        Silence.UNREADABLE,
    }
)
"""Ends of a call that count for the breaker."""


class Caps(Protocol):
    """The most that calls may use."""

    @property
    def tokens_per_call(self) -> int: ...
    @property
    def tokens_per_hour(self) -> int: ...
    @property
    def tokens_per_day(self) -> int: ...
    @property
    def tokens_per_month(self) -> int: ...
    @property
    def dollars_per_day(self) -> float: ...
    @property
    def dollars_per_month(self) -> float: ...


class Prices(Protocol):
    """Dollars for a million tokens."""

    @property
    def input(self) -> float: ...
    @property
    def output(self) -> float: ...


@dataclass(frozen=True)
class Use:
    """Tokens, and what they cost in millionths of a dollar."""

    tokens: int = 0
    cost: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(self.tokens + other.tokens, self.cost + other.cost)

    @property
    def dollars(self) -> float:
        """The cost for people."""
        return self.cost / MICRO


@dataclass(frozen=True)
class Call:
    """A call that is about to be made, and the most that it may use."""

    purpose: str
    model: str
    digest: str  # of what is asked
    most: Use


@dataclass(frozen=True)
class Ended:
    """A call that is over."""

    at: datetime  # when it ended
    reason: Silence
    not_before: datetime | None = None  # until then the endpoint wants to be left alone


@dataclass(frozen=True)
class Cap:
    """The most of a span, or what is left of it; without a cost, that has no cap."""

    tokens: int
    cost: int | None = None


@dataclass(frozen=True)
class Refusal:
    """Why a call must not be made."""

    reason: Silence
    detail: str


def use(prices: Prices, input_tokens: int, output_tokens: int) -> Use:
    """What so many tokens use; costs are rounded up."""
    cost = math.ceil(input_tokens * _exact(prices.input) + output_tokens * _exact(prices.output))
    return Use(input_tokens + output_tokens, cost)


def caps_of(caps: Caps) -> dict[str, Cap]:
    """The most by span."""
    return {
        "hour": Cap(caps.tokens_per_hour),
        "day": Cap(caps.tokens_per_day, _micro(caps.dollars_per_day)),
        "month": Cap(caps.tokens_per_month, _micro(caps.dollars_per_month)),
    }


def left(caps: Caps, used: Mapping[str, Use]) -> dict[str, Cap]:
    """What is left by span; never negative."""
    return {
        span: Cap(
            max(0, most.tokens - used[span].tokens),
            None if most.cost is None else max(0, most.cost - used[span].cost),
        )
        for span, most in caps_of(caps).items()
    }


def over_budget(caps: Caps, used: Mapping[str, Use], wanted: Use) -> str:
    """Why this much more must not be used, "" if it may; `used` has what is reserved and not settled too."""
    if wanted.tokens > caps.tokens_per_call:
        return f"the call may need {wanted.tokens:,} tokens, and {caps.tokens_per_call:,} are allowed for one"
    for span, most in caps_of(caps).items():
        after = used[span] + wanted
        if after.tokens > most.tokens:
            return f"{used[span].tokens:,} of {most.tokens:,} tokens of the {span} are used"
        if most.cost is not None and after.cost > most.cost:
            return f"{used[span].dollars:.4f} of {most.cost / MICRO:.2f} dollars of the {span} are used"
    return ""


def resting(latest: Sequence[Ended], trying_since: datetime | None, now: datetime) -> Refusal | None:
    """Whether the endpoint is left alone; `latest` are the last calls that ended, newest first.

    `trying_since` is when the newest call began that is under way since then.
    """
    asked = [one.not_before for one in latest if one.not_before and now < one.not_before <= now + LONGEST_REST + _SKEW]
    if asked:
        return Refusal(Silence.LEFT_ALONE, f"the endpoint wants no calls until {max(asked)}")
    last = latest[:FAILURES]
    if len(last) < FAILURES or any(one.reason not in FAULTS for one in last):
        return None
    until = last[0].at + REST
    if now < until <= now + REST + _SKEW:
        return Refusal(Silence.BREAKER_OPEN, f"{FAILURES} calls in a row failed; left alone until {until}")
    if trying_since is not None and now - trying_since < REST:
        return Refusal(Silence.BREAKER_OPEN, f"{FAILURES} calls in a row failed; another one tries first")
    return None


def _micro(dollars: float) -> int:
    return math.floor(_exact(dollars) * MICRO)


def _exact(dollars: float) -> Fraction:
    """As it is written: a binary 1.1 is a little more, and ten times that would be rounded up."""
    return Fraction(str(dollars))
