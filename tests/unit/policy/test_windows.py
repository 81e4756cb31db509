"""Windows and freezes on the wall clock, and one slot per run through clock changes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.model import Host
from maintenancebot.policy import windows
from maintenancebot.settings import Freeze, Settings, Window
from maintenancebot.settings.cron import FIELDS, standard
from maintenancebot.settings.refused import RefusedError

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


def local(slots: tuple[int, ...] | int | None, zone: str = "Europe/Berlin") -> list[str]:
    found = slots if isinstance(slots, tuple) else (slots,)
    return [datetime.fromtimestamp(slot, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M%z") for slot in found]


def test_the_weekly_slot_is_on_sunday():
    assert local(windows.next_slots("0 3 * * 0", "Europe/Berlin", berlin("2026-11-21 10:00"), 2)) == [
        "Sun 2026-11-22 03:00+0100",
        "Sun 2026-11-29 03:00+0100",
    ]


@pytest.mark.parametrize("sunday", ["0", "7", "SUN", "sun", "7,0"])
def test_0_7_and_sun_are_sunday(sunday):
    assert local(windows.next_slots(f"0 3 * * {sunday}", "UTC", berlin("2026-11-21 10:00"), 1), "UTC") == [
        "Sun 2026-11-22 03:00+0000"
    ]


@pytest.mark.parametrize(
    ("alias", "first"),
    [
        ("@hourly", "Sat 2026-11-21 11:00+0100"),
        ("@daily", "Sun 2026-11-22 00:00+0100"),
        ("@midnight", "Sun 2026-11-22 00:00+0100"),
        ("@weekly", "Sun 2026-11-22 00:00+0100"),
        ("@monthly", "Tue 2026-12-01 00:00+0100"),
        ("@yearly", "Fri 2027-01-01 00:00+0100"),
    ],
)
def test_aliases_are_understood(alias, first):
    assert local(windows.next_slots(alias, "Europe/Berlin", berlin("2026-11-21 10:00"), 1)) == [first]


def test_day_of_month_or_day_of_week_is_enough_as_in_cron():
    assert local(windows.next_slots("0 3 24 * 1", "Europe/Berlin", berlin("2026-11-21 10:00"), 3)) == [
        "Mon 2026-11-23 03:00+0100",
        "Tue 2026-11-24 03:00+0100",
        "Mon 2026-11-30 03:00+0100",
    ]


def test_a_time_that_spring_jumps_over_is_the_first_minute_after_the_jump():
    assert local(windows.next_slots("30 2 * * *", "Europe/Berlin", berlin("2026-03-28 12:00"), 2)) == [
        "Sun 2026-03-29 03:00+0200",
        "Mon 2026-03-30 02:30+0200",
    ]


def test_a_time_that_autumn_has_twice_is_one_slot():
    assert local(windows.next_slots("30 2 * * *", "Europe/Berlin", berlin("2026-10-24 12:00"), 2)) == [
        "Sun 2026-10-25 02:30+0200",
        "Mon 2026-10-26 02:30+0100",
    ]


def test_between_both_passes_of_an_hour_the_first_is_past_and_the_next_is_tomorrow():
    second_pass = berlin("2026-10-25 02:10", fold=1)
    assert local(windows.next_slots("30 2 * * *", "Europe/Berlin", second_pass, 1)) == ["Mon 2026-10-26 02:30+0100"]
    assert local(windows.last_due("30 2 * * *", "Europe/Berlin", second_pass)) == ["Sun 2026-10-25 02:30+0200"]


def test_every_hour_follows_real_time_through_the_autumn_change():
    slots = windows.next_slots("0 * * * *", "Europe/Berlin", berlin("2026-10-25 01:30"), 4)
    assert [later - earlier for earlier, later in pairwise(slots)] == [3600, 3600, 3600]


def test_a_slot_is_due_at_its_exact_instant_and_no_second_before():
    slot = berlin("2026-11-22 03:00")
    assert windows.last_due("0 3 * * 0", "Europe/Berlin", slot) == slot.timestamp()
    assert local(windows.last_due("0 3 * * 0", "Europe/Berlin", slot - timedelta(microseconds=1))) == [
        "Sun 2026-11-15 03:00+0100"
    ]
    assert local(windows.next_slots("0 3 * * 0", "Europe/Berlin", slot, 1)) == ["Sun 2026-11-29 03:00+0100"]
    assert windows.next_slots("0 3 * * 0", "Europe/Berlin", slot - timedelta(microseconds=1), 1) == (slot.timestamp(),)


SCHEDULES = st.sampled_from(
    [
        "30 2 * * *",
        "0 3 * * 0",
        "15,45 1-3 * * *",
        "*/20 * * * *",
        "0 */2 * * *",
        "@hourly",
        "59 23 31 12 *",
        "0 0 29 2 *",
    ]
)
ZONES = st.sampled_from(["Europe/Berlin", "UTC", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"])
MOMENTS = st.integers(1_770_000_000, 1_830_000_000) | st.integers(1_792_880_000, 1_792_900_000)


@given(SCHEDULES, ZONES, MOMENTS)
def test_next_and_last_agree_about_every_slot(schedule, zone, epoch):
    now = datetime.fromtimestamp(epoch, UTC)
    first, second = windows.next_slots(schedule, zone, now, 2)
    assert epoch < first < second
    assert windows.last_due(schedule, zone, datetime.fromtimestamp(first, UTC)) == first
    assert windows.last_due(schedule, zone, datetime.fromtimestamp(second - 1, UTC)) == first
    last = windows.last_due(schedule, zone, now)
    assert last is not None
    assert last <= epoch
    assert windows.next_slots(schedule, zone, datetime.fromtimestamp(last, UTC), 1) == (first,)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("60 3 * * 0", "the field minute cannot be '60'"),
        ("0 24 * * 0", "the field hour cannot be '24'"),
        ("0 3 0 * *", "the field day of month cannot be '0'"),
        ("0 3 * 13 *", "the field month cannot be '13'"),
        ("0 3 * * 8", "the field day of week cannot be '8'"),
        ("0 3 * * FRI-SUN", "the field day of week cannot be 'FRI-SUN'"),
        ("0 3 * * SUNDAY", "the field day of week cannot be 'SUNDAY'"),
        ("*/0 3 * * *", r"the field minute cannot be '\*/0'"),
        ("5/15 3 * * *", "the field minute cannot be '5/15'"),
        ("0 3 L * *", "the field day of month cannot be 'L'"),
        ("0 3 * * 0#1", "the field day of week cannot be '0#1'"),
        ("0 3,, * * *", "the field hour cannot be ''"),
        ("0 ٣ * * *", "the field hour cannot be"),
        ("0 3 * *", "has 4 fields; cron has five"),
        ("0 0 3 * * 0", "has 6 fields; cron has five"),
        ("", "has 0 fields"),
        ("@reboot", "'@reboot' is no alias for a time"),
        ("0 3 31 2 *", "never comes: no such day exists"),
    ],
)
def test_what_is_not_standard_cron_is_refused_by_the_name_of_its_field(expression, told):
    with pytest.raises(RefusedError, match=told):
        standard(expression)


@given(st.lists(st.text(alphabet="0123456789*/,-#LWA", max_size=5), min_size=len(FIELDS), max_size=len(FIELDS)))
def test_any_expression_is_refused_or_gives_slots(words):
    expression = " ".join(words)
    try:
        standard(expression)
    except RefusedError:
        return
    assert windows.next_slots(expression, "Europe/Berlin", berlin("2026-11-21 10:00"), 1)


NIGHT = Window(days=("sun",), start="22:00", end="04:00")


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-22 21:59", False),
        ("2026-11-22 22:00", True),
        ("2026-11-23 03:59", True),
        ("2026-11-23 04:00", False),
        ("2026-11-22 03:00", False),
        ("2026-11-23 22:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens(moment, is_open):
    assert windows.is_open(NIGHT, "Europe/Berlin", berlin(moment)) is is_open


def test_a_window_is_read_on_the_wall_clock_of_its_zone():
    moment = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)
    assert windows.is_open(NIGHT, "Europe/Berlin", moment)
    assert not windows.is_open(NIGHT, "UTC", moment)


def test_without_a_window_changes_may_always_be_made():
    assert windows.is_open(None, "UTC", berlin("2026-11-22 12:00"))


def test_a_whole_day_is_open_to_its_last_second():
    day = Window(days=("sat",))
    assert windows.is_open(day, "Europe/Berlin", berlin("2026-11-21 00:00"))
    assert windows.is_open(day, "Europe/Berlin", berlin("2026-11-21 23:59:59"))
    assert not windows.is_open(day, "Europe/Berlin", berlin("2026-11-22 00:00"))


@pytest.mark.parametrize(
    ("window", "moment", "opens"),
    [
        (NIGHT, "2026-11-21 10:00", "Sun 2026-11-22 22:00+0100"),
        (NIGHT, "2026-11-23 04:00", "Sun 2026-11-29 22:00+0100"),
        (NIGHT, "2026-11-22 23:00", "Sun 2026-11-22 23:00+0100"),
        (Window(start="02:30", end="05:00"), "2026-03-29 01:00", "Sun 2026-03-29 03:00+0200"),
        (Window(start="02:30", end="03:00"), "2026-03-29 01:00", "Mon 2026-03-30 02:30+0200"),
    ],
)
def test_the_next_opening_is_the_first_open_instant(window, moment, opens):
    found = windows.next_opening(window, "Europe/Berlin", berlin(moment))
    assert local(int(found.timestamp())) == [opens]


@given(
    st.integers(1_770_000_000, 1_800_000_000),
    st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1),
    st.tuples(st.integers(0, 23), st.integers(0, 23)).filter(lambda pair: pair[0] != pair[1]),
)
def test_at_the_next_opening_a_window_is_open_and_the_minute_before_it_was_not(epoch, days, hours):
    start, end = (f"{hour:02}:00" for hour in hours)
    window = Window(days=tuple(sorted(days)), start=start, end=end)
    now = datetime.fromtimestamp(epoch, UTC)
    opens = windows.next_opening(window, "Europe/Berlin", now)
    assert windows.is_open(window, "Europe/Berlin", opens)
    assert opens == now or not windows.is_open(window, "Europe/Berlin", opens - timedelta(minutes=1))


def settings(**values) -> Settings:
    task = {"name": "patches", "type": "package_update", "scope": "all"}
    return Settings.model_validate({"tasks": [task], "timezone": "Europe/Berlin", **values})


def test_a_freeze_holds_from_its_first_day_to_the_end_of_its_last():
    frozen = settings(freeze=[Freeze(start="2026-12-24", end="2026-12-26", reason="holidays")])
    assert windows.freeze_reason(frozen, berlin("2026-12-23 23:59")) == ""
    assert windows.freeze_reason(frozen, berlin("2026-12-24 00:00")) == "frozen from 2026-12-24 to 2026-12-26: holidays"
    assert windows.freeze_reason(frozen, berlin("2026-12-26 23:59")) != ""
    assert windows.freeze_reason(frozen, berlin("2026-12-27 00:00")) == ""


def test_a_closed_window_says_when_it_opens_on_the_hosts_own_clock():
    closed = settings(window=NIGHT)
    moment = berlin("2026-11-21 10:00")
    here, there = Host("a", "a"), Host("b", "b", timezone="America/New_York")
    assert windows.closed_reason(closed, here, moment) == "the window opens Sunday 2026-11-22 22:00 Europe/Berlin"
    assert windows.closed_reason(closed, there, moment) == "the window opens Sunday 2026-11-22 22:00 America/New_York"
    assert windows.closed_reason(settings(), here, moment) == ""
    assert windows.closed_reason(closed, here, berlin("2026-11-22 22:30")) == ""
