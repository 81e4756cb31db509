"""A week's facts in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from maintenancebot.model import Reason, State, worst
from maintenancebot.report import week_lines
from maintenancebot.report.week import FIGURES, HostWeek, Line
from tests.unit.report.any_weeks import SLOT, STALE, ZONE, bad_week, growing, host, week


def test_a_line_says_where_what_since_when_and_what_to_do() -> None:
    assert week_lines.sentence(replace(STALE, weeks=2)) == (
        "db-1, nightly: failed: too old: newest is 9 days old (since 9 Nov, 3 weeks in a row). "
        "To do: find out why the backup did not run."
    )


def test_what_a_line_itself_says_to_do_comes_before_what_its_reason_says() -> None:
    assert week_lines.what_to_do(replace(STALE, action="ask Ann.")) == "ask Ann"


def test_a_line_without_host_and_subject_is_about_the_bot() -> None:
    assert week_lines.told(Line("", "", State.FAILED, Reason.NONE, "odd")) == "maintenancebot: failed: odd"
    assert week_lines.told(SLOT).startswith("missed slot: skipped: ")


def test_a_week_that_ends_at_midnight_does_not_have_the_next_day() -> None:
    assert week_lines.period(week()) == "16 Nov to 22 Nov 2026, Europe/Berlin"


def test_a_moment_has_its_day_of_the_week() -> None:
    assert week_lines.moment(datetime(2026, 11, 22, 3, 0, tzinfo=ZONE)) == "Sun 22 Nov 03:00"


def test_figures_that_say_nothing_are_left_out_and_the_others_are_held_against_the_week_before() -> None:
    assert [week_lines.figure_in_words(one) for one in week_lines.figures(bad_week())] == [
        "hosts in the inventory: 2",
        "hosts with a failure: 1 (+1)",
        "freed: 3.0 GiB (-1.0 GiB)",
        "tokens used by the model: 12,000 (+3,000)",
        "dollars spent on the model: $0.25",
    ]


def test_without_a_week_before_nothing_is_held_against_it() -> None:
    assert {one.change for one in week_lines.figures(replace(bad_week(), before={}))} == {""}


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        (0.001, 0.0, "$0.001 (+$0.001)"),
        (0.000042, 0.000042, "$0.000042"),
        (0.3, 0.3, "$0.30"),
        (1234.5, 0.01, "$1,234.50 (+$1,234.49)"),
    ],
)
def test_money_that_was_spent_is_never_called_none(now: float, before: float, said: str) -> None:
    spent = week(figures={"dollars": now}, before={"dollars": before})
    assert [week_lines.figure_in_words(one) for one in week_lines.figures(spent)] == [
        f"dollars spent on the model: {said}"
    ]


def test_a_disk_on_which_nothing_is_left_is_full() -> None:
    assert week_lines.forecast(replace(growing(), percent=100.0, days=0.0, soonest=0.0, latest=0.0)) == "full"


def test_who_failed_and_wants_nobody_called_is_not_called_for() -> None:
    quiet = replace(host("db-1", State.FAILED), is_quiet=True)
    assert [line.host for line in week_lines.needs_person(week(quiet, host("db-2", State.FAILED)))] == ["db-2"]


def test_a_figure_that_fell_to_nothing_is_told() -> None:
    gone = week(figures={"hosts_failed": 0}, before={"hosts_failed": 2})
    assert [week_lines.figure_in_words(one) for one in week_lines.figures(gone)] == ["hosts with a failure: 0 (-2)"]


@pytest.mark.parametrize("key", FIGURES)
def test_every_figure_can_be_told(key: str) -> None:
    (figure,) = week_lines.figures(week(figures={key: 1}))
    assert not figure.label.startswith("bytes")


@pytest.mark.parametrize(
    ("days", "soonest", "latest", "said"),
    [
        (None, None, None, "does not grow, or is not known yet"),
        (12, None, None, "full in 12 days"),
        (12, 9, 17, "full in 12 days (9 to 17)"),
        (12, 9, None, "full in 12 days (9 or later)"),
    ],
)
def test_when_a_disk_is_full(days: float | None, soonest: float | None, latest: float | None, said: str) -> None:
    assert week_lines.forecast(replace(growing(), days=days, soonest=soonest, latest=latest)) == said


def test_who_failed_needs_a_person_whether_a_line_names_it_or_not() -> None:
    hosts = (host("db-1", State.FAILED), host("zebra", State.FAILED), host("web-1"))
    told = week_lines.needs_person(week(*hosts, needs_person=(SLOT, STALE)))
    assert [(line.host, line.state) for line in told] == [
        ("db-1", State.FAILED),
        ("zebra", State.FAILED),
        ("", State.SKIPPED),
    ]


def test_a_host_that_nobody_looked_at_is_counted_and_not_called_for() -> None:
    unseen, hung = HostWeek("a", State.UNKNOWN), HostWeek("b", State.UNKNOWN, Reason.HUNG)
    assert [line.host for line in week_lines.needs_person(week(unseen, hung))] == ["b"]


def test_groups_come_with_the_worst_first() -> None:
    hosts = (host("a", group="web"), host("b", State.FAILED, "db"), host("c", State.UNKNOWN, ""), host("d", group="db"))
    found = [(group, [one.host for one in members]) for group, members in week_lines.by_group(hosts)]
    assert found == [("db", ["b", "d"]), ("", ["c"]), ("web", ["a"])]


def test_every_state_has_its_place_among_the_worst() -> None:
    assert set(week_lines.SEVERITY) == set(State)
    assert all(worst([one, *week_lines.SEVERITY[place:]]) is one for place, one in enumerate(week_lines.SEVERITY))
