"""Which copy of a backup in a cloud counts, by time: the same judgement for objects, snapshots and recovery points."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from maintenancebot.model import Host, Json, Reason

FUTURE_SLACK = timedelta(minutes=5)
MOST_TOLD = 10
HOUR = timedelta(hours=1)

DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)([-_.]?)([01]\d)\2([0-3]\d)"
    r"(?:[T_ .-]{0,2}([0-2]\d)[:hH._-]?([0-5]\d)(?:[:mM._-]?([0-5]\d))?)?(?!\d)"
)

Data = dict[str, Json]


class Verdict(Exception):  # noqa: N818  an answer, not an error
    """A verdict other than ok; it ends the look at a source."""

    def __init__(self, verdict: str, reason: Reason, detail: str) -> None:
        self.verdict, self.reason, self.detail = verdict, reason, detail
        super().__init__(detail)


def bad(reason: Reason, detail: str) -> Verdict:
    """The backup is not what it should be."""
    return Verdict("bad", reason, detail)


def unknown(reason: Reason, detail: str) -> Verdict:
    """The backup could not be looked at."""
    return Verdict("unknown", reason, detail)


@dataclass(frozen=True)
class Copy:
    """One copy that is complete as far as its list tells. `moments` are the times that it claims, and what says so."""

    path: str
    moments: tuple[tuple[str, datetime], ...]
    starts: tuple[datetime, ...] = ()  # the earliest that a date in its name can mean
    size: int | None = None  # None where the service does not tell
    more: Data = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """The most pessimistic of its times."""
        return min(moment for _, moment in self.moments)

    @property
    def time_from(self) -> str:
        """What says that time."""
        return min(self.moments, key=lambda pair: pair[1])[0]

    def in_future(self, now: datetime) -> bool:
        """Whether it claims to be made later than now, by whatever it claims."""
        own = [moment for name, moment in self.moments if name != NAME_SAYS]
        return max([*own, *([min(self.starts)] if self.starts else [])]) > now + FUTURE_SLACK

    def said(self, now: datetime) -> Data:
        """The copy as a fact for the report."""
        size = {} if self.size is None else {"size": self.size}
        return {
            "path": self.path,
            **size,
            "time": int(self.time.timestamp()),
            "age_hours": hours(now - self.time),
            **self.more,
        }


NAME_SAYS = "the date in its name"


@dataclass(frozen=True)
class Pending:
    """What is no copy: still being made, or never ended well."""

    path: str
    began: datetime
    reason: Reason  # BEING_WRITTEN or INCOMPLETE
    words: str  # "is still being made"


@dataclass(frozen=True)
class Seen:
    """All that was found for one thing that should have a backup."""

    copies: Sequence[Copy]
    pending: Sequence[Pending] = ()
    nothing: str = "there is no copy"  # what to say when there is none


def hours(span: timedelta) -> float:
    """As reports show it."""
    return round(span / HOUR, 1) + 0.0  # a clock a moment behind the service's makes no -0.0


def newest(seen: Seen, now: datetime, limit: timedelta, data: Data) -> Copy:
    """The copy that counts, fresh enough; the data then say so. Raises Verdict."""
    for copy in seen.copies:
        if copy.in_future(now):
            raise bad(Reason.FUTURE_DATED, f"{copy.path} claims a time in the future")
    copies = sorted(seen.copies, key=lambda copy: copy.time, reverse=True)
    later = _later(seen.pending, copies[0].time if copies else None)
    data["notes"] += [f"{one.path} {one.words}" for one in later[:MOST_TOLD]]
    if not copies:
        raise bad(*_instead(Reason.MISSING, seen.nothing, later))
    chosen = copies[0]
    data.update(level="exists", evidence={**chosen.said(now), "time_from": chosen.time_from})
    data.update(others=[copy.said(now) for copy in copies[1 : MOST_TOLD + 1]], count=len(copies))
    if now - chosen.time > limit:
        detail = f"the newest copy is {hours(now - chosen.time)} hours old by {chosen.time_from}, more than "
        raise bad(*_instead(Reason.STALE, f"{detail}{limit / HOUR:g} are not allowed", later))
    data["level"] = "fresh"
    return chosen


def _later(pending: Iterable[Pending], than: datetime | None) -> list[Pending]:
    """The latest first."""
    later = [one for one in pending if than is None or one.began > than]
    return sorted(later, key=lambda one: one.began, reverse=True)


def _instead(reason: Reason, detail: str, later: Sequence[Pending]) -> tuple[Reason, str]:
    """What is missing or stale may be on its way, or may have failed: that says more."""
    return (later[0].reason, f"{detail}; {later[0].path} {later[0].words}") if later else (reason, detail)


def check_size(copy: Copy, least: int) -> None:
    """A copy without bytes, or with fewer than asked for, is none; Verdict. An unknown size is no fault."""
    if copy.size == 0:
        raise bad(Reason.EMPTY, f"{copy.path} has no bytes")
    if copy.size is not None and copy.size < least:
        raise bad(Reason.TOO_SMALL, f"{copy.size} bytes, at least {least} are asked for")


def dates_in(name: str, host: Host) -> list[tuple[datetime, datetime]]:
    """The spans of time that a date in a name can mean: (start, end) in UTC and in the host's own zone.

    A date alone covers its whole day, so its end is what the name still allows. Empty without a date that exists.
    """
    found = DATE.search(name)
    if not found:
        return []
    year, month, day, hour, minute, second = (int(part or 0) for part in found.group(1, 3, 4, 5, 6, 7))
    zones: list[tzinfo] = [UTC, *([ZoneInfo(host.timezone)] if host.timezone else [])]
    length = timedelta() if found.group(5) else timedelta(days=1)
    try:
        starts = [datetime(year, month, day, hour, minute, second, tzinfo=zone).astimezone(UTC) for zone in zones]
        return [(start, start + length) for start in starts]
    except (ValueError, OverflowError):
        return []
