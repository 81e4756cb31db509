"""A pattern that matched nothing for weeks is told, once there are weeks to look back at."""

from __future__ import annotations

from datetime import timedelta

import pytest

from maintenancebot.engine import quiet
from maintenancebot.model import HostReport, State, TaskReport, TaskType
from maintenancebot.store import Store
from tests.unit.engine.boxes import clock

OLD, NEW = "/var/log/old/*.log", "/var/log/new/*.log"


def hosts(*counts: dict[str, int]) -> tuple[HostReport, ...]:
    return tuple(
        HostReport(
            f"h{number}",
            State.NOTHING,
            tasks=(
                TaskReport(
                    "logs",
                    TaskType.CLEANUP,
                    State.NOTHING,
                    facts={"patterns": [{"path": path, "matched": count} for path, count in matched.items()]},
                ),
            ),
        )
        for number, matched in enumerate(counts)
    )


def ran(store: Store, days_ago: int, *counts: dict[str, int], command: str = "run") -> None:
    at, name = clock() - timedelta(days=days_ago), f"run-{days_ago}"
    rows = [
        {"host": one.host, "tasks": [{"task": t.task, "facts": dict(t.facts)} for t in one.tasks]}
        for one in hosts(*counts)
    ]
    store.runs.start(name, command, "c", at=at)
    store.runs.finish(name, State.NOTHING, {}, {"hosts": rows}, at=at)


def told(store: Store, *counts: dict[str, int]) -> list[str]:
    return quiet.notes(hosts(*counts), store, clock())


def test_three_weeks_of_nothing_are_told(store: Store) -> None:
    for days in (7, 14, 21):
        ran(store, days, {OLD: 0}, {OLD: 0})
    assert told(store, {OLD: 0}, {OLD: 0}) == [f"logs: {OLD} matched nothing on any host for 3 weeks"]


@pytest.mark.parametrize("days", [7, 14, 21])
def test_a_match_on_one_host_in_one_week_is_enough(store: Store, days: int) -> None:
    for week in (7, 14, 21):
        ran(store, week, {OLD: 0}, {OLD: int(week == days)})
    assert told(store, {OLD: 0}, {OLD: 0}) == []


def test_a_match_today_is_enough(store: Store) -> None:
    ran(store, 21, {OLD: 0})
    assert told(store, {OLD: 0}, {OLD: 1}) == []


def test_two_weeks_are_not_enough(store: Store) -> None:
    ran(store, 14, {OLD: 0})
    assert told(store, {OLD: 0}) == []


def test_a_pattern_that_is_new_is_not_blamed_for_weeks_before_it(store: Store) -> None:
    ran(store, 21, {OLD: 0})
    assert told(store, {OLD: 0, NEW: 0}) == [f"logs: {OLD} matched nothing on any host for 3 weeks"]


def test_other_commands_say_nothing_of_patterns(store: Store) -> None:
    ran(store, 21, {OLD: 0}, command="trash purge")
    assert told(store, {OLD: 0}) == []
