"""Weeks by their names, and which one a summary is about."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from maintenancebot.policy import weeks

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def test_a_week_begins_on_monday_at_midnight_in_its_zone() -> None:
    week = weeks.named("2026-W47", BERLIN)
    assert (week.starts_at, week.ends_at) == (at("2026-11-16 00:00"), at("2026-11-23 00:00"))
    assert week.before().name == "2026-W46"
    assert weeks.containing(week.starts_at, BERLIN) == week
    assert weeks.containing(week.ends_at - timedelta(seconds=1), BERLIN) == week
    assert weeks.containing(week.ends_at, BERLIN).name == "2026-W48"


@pytest.mark.parametrize(("name", "hours"), [("2026-W13", 167), ("2026-W43", 169), ("2026-W44", 168)])
def test_a_week_in_which_clocks_change_is_as_long_as_it_is(name: str, hours: int) -> None:
    week = weeks.named(name, BERLIN)
    assert week.ends_at - week.starts_at == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("moment", "name"),
    [
        ("2026-11-23 08:00", "2026-W47"),  # Monday morning: the week that has ended
        ("2026-11-23 00:00", "2026-W47"),
        ("2026-11-22 20:00", "2026-W47"),  # Sunday evening: the week at hand
        ("2026-11-20 17:00", "2026-W47"),  # Friday
        ("2026-11-18 12:00", "2026-W46"),  # Wednesday
        ("2027-01-04 08:00", "2026-W53"),
    ],
)
def test_a_summary_is_about_the_week_of_most_of_the_last_seven_days(moment: str, name: str) -> None:
    assert weeks.told_at(at(moment), BERLIN).name == name


@pytest.mark.parametrize("name", ["2026-W54", "2025-W53", "2026-47", "47", "2026-W4", "2026-W00", "last", "2026-W47\n"])
def test_what_is_no_week_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"W|week"):
        weeks.named(name, BERLIN)


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York"])
@pytest.mark.parametrize("name", ["0000-W01", "0001-W01", "9999-W52", "2025-W53"])
def test_a_week_that_no_calendar_has_whole_is_refused_by_its_name(name: str, zone: str) -> None:
    with pytest.raises(ValueError, match=f"there is no week {name}"):
        weeks.named(name, zone)


def test_a_week_is_written_in_plain_digits() -> None:
    with pytest.raises(ValueError, match="write it as ISO does"):
        weeks.named("\u0662\u0660\u0662\u0666-W\u0664\u0667", BERLIN)


def test_what_holds_now_belongs_to_a_week_until_a_week_after_it() -> None:
    week = weeks.named("2026-W47", "UTC")
    ends = datetime(2026, 11, 23, tzinfo=UTC)
    assert [week.is_recent(ends + timedelta(days=days)) for days in (-8, -7, 0, 6, 7)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert [week.is_over(ends - timedelta(seconds=1)), week.is_over(ends)] == [False, True]
