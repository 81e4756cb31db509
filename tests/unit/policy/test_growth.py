"""How fast a mount fills up, from a bounded row of samples."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maintenancebot.policy.growth import (
    DAY,
    EVERY_SECONDS,
    MOST,
    Sample,
    bytes_a_day,
    forecast,
    hours_until_full,
    samples,
    with_sample,
)

GIB = 2**30


def row(*used: int, every: float = EVERY_SECONDS) -> list[Any]:
    kept: list[Any] = []
    for number, size in enumerate(used):
        kept = with_sample(kept, Sample(number * every, size, 100 * GIB, 7))
    return kept


def test_a_straight_rise_is_found() -> None:
    known = samples(row(*(number * GIB for number in range(10)), every=3600))
    assert bytes_a_day(known) == pytest.approx(24 * GIB)
    assert hours_until_full(known, 6 * GIB) == pytest.approx(6)


def test_what_does_not_grow_is_never_full() -> None:
    known = samples(row(5, 5, 5, 4))
    assert hours_until_full(known, 10) is None
    assert bytes_a_day(samples(row(5))) is None
    assert bytes_a_day([]) is None


def test_old_samples_do_not_count() -> None:
    known = [Sample(0, 90 * GIB, 100 * GIB, 1), *(Sample(30 * DAY + n * 3600, n * GIB, 100 * GIB, 1) for n in range(5))]
    assert bytes_a_day(known) == pytest.approx(24 * GIB)


def test_looks_within_half_an_hour_are_one_sample_and_a_hundred_are_kept() -> None:
    assert len(row(*range(50), every=60)) == 2
    assert len(row(*range(300))) == MOST
    assert row(*range(300))[-1][1] == 299


def test_a_clock_that_went_back_does_not_leave_samples_of_the_future() -> None:
    kept = with_sample(row(1, 2, 3), Sample(EVERY_SECONDS, 9, 10, 1))
    assert [one[0] for one in kept] == [0, EVERY_SECONDS]


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=20))
def test_a_row_that_is_none_is_empty_or_numbers(odd: Any) -> None:
    assert all(isinstance(one, Sample) for one in samples(odd))


def test_a_straight_rise_is_forecast_without_doubt() -> None:
    known = [Sample(day * DAY, (50 + day) * GIB, 100 * GIB, 1) for day in range(10)]
    estimate = forecast(known)
    assert estimate is not None
    assert estimate.days == pytest.approx(41)
    assert (estimate.soonest, estimate.latest) == (pytest.approx(41), pytest.approx(41))


def test_the_bounds_of_a_forecast_hold_what_the_noise_hides() -> None:
    noise = [0, 3, -2, 1, -3, 2, 0, -1, 2, -2]
    known = [Sample(day * DAY, (50 + day + off) * GIB, 100 * GIB, 1) for day, off in enumerate(noise)]
    estimate = forecast(known)
    assert estimate is not None
    assert estimate.days
    assert estimate.soonest
    assert estimate.latest
    assert estimate.soonest < estimate.days < estimate.latest
    assert estimate.soonest < 41 < estimate.latest


def test_a_rise_within_the_noise_may_be_none_at_all() -> None:
    known = [Sample(day * DAY, (50 + off) * GIB, 100 * GIB, 1) for day, off in enumerate([0, 9, -9, 5, 1])]
    estimate = forecast(known)
    assert estimate is not None
    assert (estimate.days is None) or (estimate.latest is None)


def test_two_looks_are_no_forecast_and_a_look_a_week_is_one() -> None:
    weekly = [Sample(week * 7 * DAY, (50 + 7 * week) * GIB, 100 * GIB, 1) for week in range(4)]
    assert forecast(weekly[:2]) is None
    assert forecast([]) is None
    estimate = forecast(weekly)
    assert estimate is not None
    assert estimate.days == pytest.approx(29)


def test_a_figure_that_cannot_be_is_no_sample() -> None:
    assert samples([[1, 10**400, 10, 1], [2, float("inf"), 10, 1], [3, float("nan"), 10, 1], [4, 5, 10, 1]]) == [
        Sample(4, 5, 10, 1)
    ]


@example([(2**62 - 1, 0), (2**62, 0), (2**62, 0)])
@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 2**62)), max_size=20))
def test_no_samples_break_a_forecast(pairs: list[tuple[int, int]]) -> None:
    known = [Sample(at, used, 2**62, 0) for at, used in sorted(pairs)]
    estimate = forecast(known)
    if estimate is not None and estimate.days is not None:
        assert estimate.soonest is not None
        assert 0 <= estimate.soonest <= estimate.days * (1 + 1e-9)
