"""The lines of the small plots."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given

from maintenancebot.report.plots import HEIGHT, WIDTH, Plot, of_disk, shares
from tests.unit.report.any_weeks import DISKS, STARTS, growing


def disk(*percents: float, days: float | None = None, soonest: float | None = None, latest: float | None = None):
    samples = tuple((STARTS + timedelta(days=number), percent) for number, percent in enumerate(percents))
    return replace(growing(), samples=samples, days=days, soonest=soonest, latest=latest)


def test_what_was_measured_takes_two_thirds_and_the_rest_is_what_comes() -> None:
    assert of_disk(disk(50, 50, 100, days=None)) == Plot("0.0,32.0 80.0,32.0 160.0,0.0", today=160.0)


def test_a_disk_that_is_full_within_the_plot_meets_the_limit_there() -> None:
    plot = of_disk(disk(0, 25, 50, days=0.5, soonest=0.25, latest=None))
    assert plot is not None
    assert plot.ahead == "160.0,32.0 200.0,0.0"
    assert plot.between == "160.0,32.0 180.0,0.0 240.0,32.0"


def test_a_disk_that_is_full_later_is_on_its_way() -> None:
    plot = of_disk(disk(50, 50, 50, days=2))
    assert plot is not None
    assert plot.ahead == "160.0,32.0 240.0,16.0"


def test_the_days_of_an_older_sample_are_drawn_from_that_sample_on() -> None:
    plot = of_disk(replace(disk(50, 50, 50, days=1, soonest=0.5), age=1.0))
    assert plot is not None
    assert plot.ahead == "160.0,32.0 240.0,16.0" == of_disk(disk(50, 50, 50, days=2)).ahead  # type: ignore[union-attr]


def test_samples_of_less_than_a_day_make_no_line() -> None:
    assert of_disk(disk()) is None
    assert of_disk(disk(50)) is None
    short = ((STARTS, 50.0), (STARTS + timedelta(hours=1), 60.0))
    assert of_disk(replace(growing(), samples=short)) is None


@given(DISKS)
def test_no_line_leaves_the_plot(found) -> None:
    plot = of_disk(found)
    for points in (plot.measured, plot.ahead, plot.between) if plot else ():
        for x, y in (map(float, point.split(",")) for point in points.split()):
            assert 0 <= x <= WIDTH
            assert 0 <= y <= HEIGHT


def test_the_parts_of_a_bar_fill_it() -> None:
    assert shares([1, 3]) == [(0.0, 25.0), (25.0, 75.0)]
    assert shares([]) == []
    assert shares([0]) == [(0.0, 0.0)]
