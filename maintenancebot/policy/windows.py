"""Windows, freezes and cron slots: pure questions about an instant.

A window and a freeze are read on the wall clock of a time zone. A slot of the schedule is a whole
second since the epoch: two local times of one hour that comes twice compare wrongly, epochs never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from maintenancebot.model import Host
from maintenancebot.settings import Freeze, Settings, Window
from maintenancebot.settings.cron import standard

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LARGEST_JUMP = timedelta(hours=3)
_MINUTE = timedelta(minutes=1)


def zone(name: str) -> tzinfo:
    """The time zone of that name; UTC needs no time zone database."""
    return UTC if name == "UTC" else ZoneInfo(name)


def is_open(window: Window | None, zone_name: str, moment: datetime) -> bool:
    """Whether changes may be made at this instant; without a window, always."""
    if window is None:
        return True
    wall = _wall(moment, zone_name)
    return any(_covers(window, day, wall) for day in (wall.date(), wall.date() - timedelta(days=1)))


def next_opening(window: Window, zone_name: str, moment: datetime) -> datetime:
    """The first instant from now on at which the window is open."""
    if is_open(window, zone_name, moment):
        return moment
    today = _wall(moment, zone_name).date()
    for day in (today + timedelta(days=n) for n in range(9)):
        opens = datetime.combine(day, _time(window.start), zone(zone_name)).astimezone(UTC)
        if is_open(window, zone_name, opens) and opens > moment:
            return _first_open_minute(window, zone_name, opens)
    raise AssertionError("a window has a day and a length, so it opens within a week")


def closing(window: Window, zone_name: str, moment: datetime) -> datetime | None:
    """When the opening that covers this instant ends; None when the window is closed then."""
    wall = _wall(moment, zone_name)
    for day in (wall.date(), wall.date() - timedelta(days=1)):
        if _covers(window, day, wall):
            return _end(window, day).replace(tzinfo=zone(zone_name)).astimezone(UTC)
    return None


def freeze_at(freezes: Sequence[Freeze], zone_name: str, moment: datetime) -> Freeze | None:
    """The freeze that forbids changes at this instant."""
    today = _wall(moment, zone_name).date().isoformat()
    return next((freeze for freeze in freezes if freeze.start <= today <= freeze.end), None)


def freeze_reason(settings: Settings, moment: datetime) -> str:
    """Which freeze forbids changes now, for people; empty when none does."""
    freeze = freeze_at(settings.freeze, settings.timezone, moment)
    if freeze is None:
        return ""
    return f"frozen from {freeze.start} to {freeze.end}" + (f": {freeze.reason}" if freeze.reason else "")


def closed_reason(settings: Settings, host: Host, moment: datetime) -> str:
    """When a host's window opens next, for people; empty when it is open.

    The window is read on the host's own clock where the inventory says its time zone.
    """
    zone_name = host.timezone or settings.timezone
    if settings.window is None or is_open(settings.window, zone_name, moment):
        return ""
    opens = next_opening(settings.window, zone_name, moment).astimezone(zone(zone_name))
    return f"the window opens {opens:%A %Y-%m-%d %H:%M} {zone_name}"


def next_slots(schedule: str, zone_name: str, after: datetime, count: int) -> tuple[int, ...]:
    """The next slots after an instant, as seconds since the epoch."""
    slots = _slots(schedule, after.astimezone(zone(zone_name)), reverse=False)
    later = (slot for slot in slots if slot > after.timestamp())
    return tuple(slot for slot, _ in zip(later, range(count), strict=False))


def slots_until(schedule: str, zone_name: str, after: datetime, until: datetime, most: int) -> tuple[int, ...]:
    """The slots after an instant up to another one, the latter included; no more than the first `most` of them."""
    slots = _slots(schedule, after.astimezone(zone(zone_name)), reverse=False)
    later = (slot for slot in slots if slot > after.timestamp())
    return tuple(islice(takewhile(lambda slot: slot <= until.timestamp(), later), most))


def last_due(schedule: str, zone_name: str, now: datetime) -> int | None:
    """The latest slot up to an instant, the instant included; None when there was none for decades.

    A slot is missed when this is later than the last slot that was recorded.
    """
    # Begin later than any clock change jumps: in the second pass of an hour, the slot of the first pass lies "ahead".
    slots = _slots(schedule, now.astimezone(zone(zone_name)) + _LARGEST_JUMP, reverse=True)
    return next((slot for slot in slots if slot <= now.timestamp()), None)


def _slots(schedule: str, start: datetime, *, reverse: bool) -> Iterator[int]:
    """Slots in one direction; callers drop those on the wrong side of now.

    cronsim goes by the wall clock: within an hour that comes twice it may begin with a slot of the first pass.
    """
    simulation = CronSim(standard(schedule), start, reverse=reverse)
    while True:
        try:
            yield int(next(simulation).timestamp())
        except (StopIteration, OverflowError):
            return


def _wall(moment: datetime, zone_name: str) -> datetime:
    return moment.astimezone(zone(zone_name)).replace(tzinfo=None)


def _time(text: str) -> time:
    hour, minute = map(int, text.split(":"))
    return time(hour, minute)


def _covers(window: Window, day: date, wall: datetime) -> bool:
    if _DAYS[day.weekday()] not in window.days:
        return False
    return datetime.combine(day, _time(window.start)) <= wall < _end(window, day)


def _end(window: Window, day: date) -> datetime:
    """The wall-clock time at which the opening of a day ends."""
    overnight = window.end == "24:00" or window.end < window.start
    end = time() if window.end == "24:00" else _time(window.end)
    return datetime.combine(day + timedelta(days=overnight), end)


def _first_open_minute(window: Window, zone_name: str, opens: datetime) -> datetime:
    """An opening time that the clock jumps over means the first minute after the jump."""
    while is_open(window, zone_name, opens - _MINUTE):
        opens -= _MINUTE
    return opens
