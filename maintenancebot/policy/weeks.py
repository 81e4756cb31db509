"""Weeks, as ISO names them: 2026-W47 begins on a Monday at midnight in a time zone. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from maintenancebot.policy import windows

_NAME = re.compile(r"([0-9]{4})-W([0-9]{2})")
_HALF = timedelta(days=3, hours=12)
_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Span:
    """A week from its first instant to the first one of the next."""

    name: str
    starts_at: datetime
    ends_at: datetime
    zone: str

    def before(self) -> Span:
        """The week before."""
        return containing(self.starts_at - timedelta(days=3), self.zone)

    def is_over(self, now: datetime) -> bool:
        """Whether nothing more can happen in it."""
        return now >= self.ends_at

    def is_recent(self, now: datetime) -> bool:
        """Whether what holds now belongs to it: it is at hand, or was until a week ago."""
        return self.starts_at <= now < self.ends_at + _WEEK


def containing(moment: datetime, zone: str) -> Span:
    """The week in which an instant lies."""
    return _span(*moment.astimezone(windows.zone(zone)).isocalendar()[:2], zone)


def told_at(moment: datetime, zone: str) -> Span:
    """The week that a summary of this instant is about: the one in which most of the last seven days lie.

    On Monday morning it is the week that has ended, on Friday afternoon the week at hand.
    """
    return containing(moment - _HALF, zone)


def named(name: str, zone: str) -> Span:
    """The week of this name; raises ValueError when there is none."""
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(f"{name!r} is not the name of a week; write it as ISO does: 2026-W47")
    try:
        span = _span(int(match[1]), int(match[2]), zone)
        span.before()
    except (ValueError, OverflowError) as error:  # of the first and the last years no calendar has all weeks
        raise ValueError(f"there is no week {name}: no such year, or it has fewer weeks") from error
    return span


def _span(year: int, number: int, zone: str) -> Span:
    first = date.fromisocalendar(year, number, 1)
    starts, ends = (_midnight(day, zone) for day in (first, first + _WEEK))
    return Span(f"{year:04}-W{number:02}", starts, ends, zone)


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time(), windows.zone(zone)).astimezone(UTC)
