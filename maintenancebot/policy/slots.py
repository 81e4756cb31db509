"""Slots of the schedules: which are due, which were missed. Pure questions about what was recorded, and the time.

Each slot has one run, through clock changes and restarts. A slot that could not be begun on time is made up for in the
opening of the window into which it fell, or within the hour where it fell into none; else it was missed. A summary
changes nothing: no window and no freeze is asked, and it is made up for within the day. Of several slots of one
schedule only the latest is made up for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from maintenancebot.model import TaskType
from maintenancebot.policy import windows
from maintenancebot.settings import Settings

CYCLE = "cycle"
CERTIFICATES = "certificates"
PURGE = "purge"
SUMMARY = "summary"

CATCH_UP = timedelta(hours=1)
CATCH_UP_SUMMARY = timedelta(days=1)
PUNCTUAL = timedelta(minutes=5)
"""What comes later than this was not begun on time, as after a restart of the daemon."""
MOST = 1000
"""As many slots are looked at one by one; after a longer absence the earlier ones are told without number."""


class Fate(StrEnum):
    """What becomes of a slot that has passed."""

    RUN = "run"  # now
    MISSED = "missed"  # nobody could begin it in time
    PAST = "past"  # it passed before its schedule was switched on


@dataclass(frozen=True)
class Slot:
    """A slot that has passed and is not recorded."""

    schedule: str
    at: int  # seconds since the epoch
    fate: Fate
    detail: str = ""


class Recorded(Protocol):
    """The latest slot that is recorded of a schedule, and the rule that it follows."""

    @property
    def slot(self) -> int: ...
    @property
    def rule(self) -> str: ...


@dataclass(frozen=True)
class Coming:
    """A slot to come."""

    schedule: str
    at: datetime  # on the wall clock of the schedule's zone
    zone: str
    hindrance: str = ""  # what would keep its run from changing anything

    def __str__(self) -> str:
        return f"{self.at:%A %Y-%m-%d %H:%M} {self.zone} (UTC{self.at.isoformat()[-6:]})"


def schedules(settings: Settings) -> dict[str, str]:
    """The cron expression of each schedule that is switched on and has something to do."""
    watched = any(task.type is TaskType.MONITOR for task in settings.tasks)
    found = {
        CYCLE: settings.schedule,
        CERTIFICATES: settings.schedules.certificates if watched else None,
        PURGE: settings.schedules.purge,
        SUMMARY: settings.schedules.summary,
    }
    return {name: expression for name, expression in found.items() if expression is not None}


def rule(expression: str, zone: str) -> str:
    """What a schedule's slots follow; another rule is a schedule switched on anew."""
    return f"{expression} {zone}"


def passed(settings: Settings, recorded: Mapping[str, Recorded], now: datetime) -> tuple[Slot, ...]:
    """What has passed and is not recorded, each with its fate; what is to be run comes last in its schedule."""
    return tuple(
        slot
        for name, expression in schedules(settings).items()
        for slot in _passed(name, expression, settings, recorded.get(name), now)
    )


def coming(settings: Settings, now: datetime, count: int) -> tuple[Coming, ...]:
    """The next slots of every schedule, in its time zone, and what would keep each from changing anything."""
    return tuple(
        _coming(name, slot, settings)
        for name, expression in schedules(settings).items()
        for slot in windows.next_slots(expression, settings.timezone, now, count)
    )


def objection(name: str, settings: Settings, slot: datetime, now: datetime) -> str:
    """Why a slot of this schedule is not begun any more; empty while it may be."""
    if now - slot <= PUNCTUAL:
        return ""
    if name == SUMMARY:
        return "" if now - slot <= CATCH_UP_SUMMARY else f"it is late by more than {CATCH_UP_SUMMARY.days} day"
    if frozen := windows.freeze_reason(settings, now):
        return frozen
    closing = settings.window and windows.closing(settings.window, settings.timezone, slot)
    if closing:
        return "" if now < closing else f"its window closed {_local(settings, closing)}"
    return "" if now - slot <= CATCH_UP else f"it is late by more than {CATCH_UP.seconds // 60} minutes"


def _passed(name: str, expression: str, settings: Settings, last: Recorded | None, now: datetime) -> Iterator[Slot]:
    zone = settings.timezone
    if last is None or last.rule != rule(expression, zone):
        latest = windows.last_due(expression, zone, now)
        if latest is not None:
            yield Slot(name, latest, Fate.PAST, "it passed before the schedule was switched on")
        return
    after = datetime.fromtimestamp(last.slot, UTC)
    slots = windows.slots_until(expression, zone, after, now, MOST)
    if len(slots) == MOST:
        slots = (windows.last_due(expression, zone, now) or slots[-1],)
    for at in slots[:-1]:
        yield Slot(name, at, Fate.MISSED, "a later slot has come")
    if slots:
        why = objection(name, settings, datetime.fromtimestamp(slots[-1], UTC), now)
        yield Slot(name, slots[-1], Fate.MISSED if why else Fate.RUN, why)


def _local(settings: Settings, moment: datetime) -> str:
    return f"{moment.astimezone(windows.zone(settings.timezone)):%A %Y-%m-%d %H:%M} {settings.timezone}"


def _coming(name: str, slot: int, settings: Settings) -> Coming:
    moment = datetime.fromtimestamp(slot, windows.zone(settings.timezone))
    if name == SUMMARY:
        return Coming(name, moment, settings.timezone)
    frozen = windows.freeze_reason(settings, moment)
    asks = name != PURGE  # the gate of a purge does not ask for the window
    is_open = windows.is_open(settings.window, settings.timezone, moment)
    return Coming(name, moment, settings.timezone, frozen or ("outside the window" if asks and not is_open else ""))
