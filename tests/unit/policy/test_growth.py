"""How fast a mount fills up, from a bounded row of samples."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.policy.growth import (
    DAY,
    EVERY_SECONDS,
    MOST,
    Sample,
    bytes_a_day,
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
