"""Each slot once: over a year and its clock changes, after absences, and for schedules that are new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from maintenancebot.policy import slots, windows
from maintenancebot.policy.slots import Fate, Slot
from maintenancebot.settings import Settings

WATCH = {"name": "certificates", "type": "monitor", "check": "certificate_expiry_days > 30"}
PATCH = {"name": "patches", "type": "package_update", "scope": "all"}
OFF = {"certificates": None, "purge": None, "summary": None}


@dataclass(frozen=True)
class Row:
    slot: int
    rule: str


def settings(schedule: str | None = "0 3 * * 0", zone: str = "Europe/Berlin", **more: Any) -> Settings:
    schedules = more.pop("schedules", OFF)
    base = {"schedule": schedule, "timezone": zone, "schedules": schedules, "tasks": [PATCH]}
    return Settings.model_validate({**base, **more})


def at(text: str, zone: str = "Europe/Berlin") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def recorded(text: str, given: Settings) -> dict[str, Row]:
    assert given.schedule is not None
    return {slots.CYCLE: Row(int(at(text).timestamp()), slots.rule(given.schedule, given.timezone))}


def told(found: tuple[Slot, ...]) -> list[tuple[str, str, str]]:
    zone = ZoneInfo("Europe/Berlin")
    return [(f"{datetime.fromtimestamp(one.at, zone):%a %d %H:%M}", one.fate.value, one.detail) for one in found]


class Book:
    """What a store keeps, without one."""

    def __init__(self, given: Settings) -> None:
        self.settings = given
        self.last: dict[str, Row] = {}
        self.runs: list[tuple[str, int]] = []
        self.missed: list[tuple[str, int]] = []

    def look(self, now: datetime) -> None:
        for slot in slots.passed(self.settings, self.last, now):
            expression = slots.schedules(self.settings)[slot.schedule]
            self.last[slot.schedule] = Row(slot.at, slots.rule(expression, self.settings.timezone))
            kept = {Fate.RUN: self.runs, Fate.MISSED: self.missed, Fate.PAST: []}[slot.fate]
            kept.append((slot.schedule, slot.at))


def ticks(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    moment = start
    while moment < end:
        yield moment
        moment += step


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "15 1 * * *", "0 3 * * 0", "15 */6 * * *"])
def test_every_slot_of_a_year_has_one_run(zone: str, expression: str) -> None:
    start, end = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC)
    expected = [slot for slot in windows.next_slots(expression, zone, start, 10_000) if slot < end.timestamp()]
    book = Book(settings(expression, zone))
    for now in (start, *(datetime.fromtimestamp(slot + n, UTC) for slot in expected for n in (-1, 0, 29, 59))):
        book.look(now)
    assert [slot for _, slot in book.runs] == expected
    assert book.missed == []


@pytest.mark.parametrize(
    ("zone", "changes"),
    [
        ("Europe/Berlin", ["2026-03-29", "2026-10-25"]),
        ("America/New_York", ["2026-03-08", "2026-11-01"]),
        ("Australia/Lord_Howe", ["2026-04-05", "2026-10-04"]),
    ],
)
@pytest.mark.parametrize("clock", ["01:30", "01:45", "02:00", "02:15", "02:30", "03:00"])
def test_the_nights_of_both_clock_changes_have_one_run_each(zone: str, changes: list[str], clock: str) -> None:
    hour, minute = clock.split(":")
    for day in changes:
        noon = at(f"{day} 12:00", zone).astimezone(UTC)
        book = Book(settings(f"{minute} {hour} * * *", zone))
        for now in ticks(noon - timedelta(hours=36), noon, timedelta(minutes=4)):
            book.look(now)
        days = Counter(datetime.fromtimestamp(slot, ZoneInfo(zone)).date().isoformat() for _, slot in book.runs)
        assert days[day] == 1
        assert set(days.values()) == {1}


def test_a_schedule_that_is_switched_on_has_no_past() -> None:
    given = settings()
    assert told(slots.passed(given, {}, at("2026-11-18 12:00"))) == [
        ("Sun 15 03:00", "past", "it passed before the schedule was switched on")
    ]


def test_another_expression_or_zone_is_a_schedule_switched_on_anew() -> None:
    before = recorded("2026-11-15 04:00", settings("0 4 * * 0"))
    for given in (settings("0 3 * * 0"), settings("0 4 * * 0", "UTC")):
        (slot,) = slots.passed(given, before, at("2026-11-18 12:00"))
        assert slot.fate is Fate.PAST


@pytest.mark.parametrize(
    ("now", "fate", "why"),
    [
        ("2026-11-22 02:59:59", None, ""),
        ("2026-11-22 03:00:00", "run", ""),
        ("2026-11-22 03:04:00", "run", ""),
        ("2026-11-22 04:00:00", "run", ""),
        ("2026-11-22 04:00:01", "missed", "it is late by more than 60 minutes"),
    ],
)
def test_without_a_window_a_slot_is_made_up_for_within_the_hour(now: str, fate: str | None, why: str) -> None:
    given = settings()
    found = told(slots.passed(given, recorded("2026-11-15 03:00", given), at(now)))
    assert found == ([] if fate is None else [("Sun 22 03:00", fate, why)])


@pytest.mark.parametrize(
    ("now", "fate", "why"),
    [
        ("2026-11-22 05:59:59", "run", ""),
        ("2026-11-22 06:00:00", "missed", "its window closed Sunday 2026-11-22 06:00 Europe/Berlin"),
        ("2026-11-23 03:00:00", "missed", "its window closed Sunday 2026-11-22 06:00 Europe/Berlin"),
    ],
)
def test_a_missed_slot_runs_only_in_its_own_window(now: str, fate: str, why: str) -> None:
    given = settings(window={"start": "02:00", "end": "06:00"})
    found = told(slots.passed(given, recorded("2026-11-15 03:00", given), at(now)))
    assert found == [("Sun 22 03:00", fate, why)]


def test_a_window_over_midnight_is_one_window() -> None:
    given = settings("0 23 * * 0", window={"days": ["sun"], "start": "22:00", "end": "06:00"})
    (slot,) = slots.passed(given, recorded("2026-11-15 23:00", given), at("2026-11-23 05:30"))
    assert slot.fate is Fate.RUN


def test_nothing_is_made_up_for_in_a_freeze_but_what_is_on_time_runs() -> None:
    given = settings(freeze=[{"start": "2026-11-22", "end": "2026-11-22", "reason": "fair"}])
    before = recorded("2026-11-15 03:00", given)
    assert told(slots.passed(given, before, at("2026-11-22 03:01"))) == [("Sun 22 03:00", "run", "")]
    words = "frozen from 2026-11-22 to 2026-11-22: fair"
    assert told(slots.passed(given, before, at("2026-11-22 03:30"))) == [("Sun 22 03:00", "missed", words)]


def test_of_many_missed_slots_the_latest_alone_is_made_up_for() -> None:
    given = settings("0 3 * * *")
    found = told(slots.passed(given, recorded("2026-11-18 03:00", given), at("2026-11-22 03:40")))
    later = "a later slot has come"
    assert found == [
        ("Thu 19 03:00", "missed", later),
        ("Fri 20 03:00", "missed", later),
        ("Sat 21 03:00", "missed", later),
        ("Sun 22 03:00", "run", ""),
    ]


def test_after_a_long_absence_the_slots_are_not_counted_one_by_one() -> None:
    given = settings("* * * * *")
    (slot,) = slots.passed(given, recorded("2025-11-18 03:00", given), at("2026-11-22 03:40"))
    assert told((slot,)) == [("Sun 22 03:40", "run", "")]


def test_a_clock_that_was_set_back_runs_nothing_twice() -> None:
    given = settings("0 * * * *")
    book = Book(given)
    for now in ("12:30", "13:00", "14:00", "12:10", "13:00", "14:00", "15:00"):
        book.look(at(f"2026-11-18 {now}"))
    hours = [datetime.fromtimestamp(slot, ZoneInfo("Europe/Berlin")).hour for _, slot in book.runs]
    assert hours == [13, 14, 15]


def test_certificates_are_looked_at_only_where_a_task_does_so() -> None:
    given = settings(None, schedules={})
    assert slots.schedules(given) == {"purge": "30 4 * * *", "summary": "0 8 * * 1"}
    watching = settings(None, schedules={}, tasks=[WATCH])
    assert set(slots.schedules(watching)) == {"certificates", "purge", "summary"}


def test_what_comes_is_told_with_weekday_zone_and_what_hinders_it() -> None:
    on = {"certificates": None, "summary": None}
    given = settings("0 3 * * *", schedules=on, window={"days": ["sun"], "end": "04:00"})
    found = slots.coming(given, at("2026-11-21 12:00"), 2)
    assert [(one.schedule, str(one), one.hindrance) for one in found] == [
        ("cycle", "Sunday 2026-11-22 03:00 Europe/Berlin (UTC+01:00)", ""),
        ("cycle", "Monday 2026-11-23 03:00 Europe/Berlin (UTC+01:00)", "outside the window"),
        ("purge", "Sunday 2026-11-22 04:30 Europe/Berlin (UTC+01:00)", ""),
        ("purge", "Monday 2026-11-23 04:30 Europe/Berlin (UTC+01:00)", ""),
    ]


@pytest.mark.parametrize(
    ("moment", "fate"),
    [("2026-11-23 08:00:00", "run"), ("2026-11-23 21:00:00", "run"), ("2026-11-24 08:00:01", "missed")],
)
def test_a_summary_is_made_up_for_within_a_day_whatever_window_and_freeze_say(moment: str, fate: str) -> None:
    freeze = [{"start": "2026-11-20", "end": "2026-12-31"}]
    window = {"days": ["sun"], "end": "04:00"}
    given = settings(None, schedules={**OFF, "summary": "0 8 * * 1"}, freeze=freeze, window=window)
    row = Row(int(at("2026-11-16 08:00").timestamp()), slots.rule("0 8 * * 1", given.timezone))
    (slot,) = slots.passed(given, {slots.SUMMARY: row}, at(moment))
    assert slot.fate.value == fate
    assert [one.hindrance for one in slots.coming(given, at(moment), 2)] == ["", ""]
