"""What a run leaves behind for the next ones: the last result of each task on each host, and the totals of all runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.engine import results
from maintenancebot.model import HostReport, Reason, Report, State, TaskReport, TaskType
from maintenancebot.store import Store

MONDAY = datetime(2026, 11, 23, 3, tzinfo=UTC)
WEEK = timedelta(weeks=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", create=True) as opened:
        yield opened


def task(state: State, reason: Reason = Reason.NONE, **facts: Any) -> TaskReport:
    return TaskReport("patches", TaskType.PACKAGE_UPDATE, state, reason, facts=facts)


def report(at: datetime, *hosts: HostReport, **totals: int) -> Report:
    return Report("run", f"run-{at:%d}", at - timedelta(seconds=90), at, State.DONE, hosts, totals)


def host(name: str, *tasks: TaskReport) -> HostReport:
    return HostReport(name, tasks[0].state, tasks[0].reason, tasks=tasks)


def row(store: Store, name: str = "web-1") -> dict[str, Any]:
    return dict(store.memories.read(name, results.KIND)["patches"])


@pytest.mark.parametrize("state", [State.DONE, State.NOTHING])
def test_a_task_that_is_done_or_had_nothing_to_do_was_successful_at_the_end_of_the_run(
    state: State, store: Store
) -> None:
    results.keep(report(MONDAY, host("web-1", task(state, due=3))), store)
    when = MONDAY.isoformat()
    assert row(store) == {
        "state": state.value,
        "reason": "",
        "at": when,
        "since": when,
        "success_at": when,
        "figures": {"due": 3},
    }


@pytest.mark.parametrize("state", sorted(set(State) - {State.DONE, State.NOTHING}))
def test_every_other_state_leaves_the_last_success_where_it_was(state: State, store: Store) -> None:
    results.keep(report(MONDAY, host("web-1", task(State.DONE))), store)
    results.keep(report(MONDAY + WEEK, host("web-1", task(state, Reason.HELD))), store)
    found = row(store)
    assert (found["state"], found["reason"]) == (state.value, "held")
    assert (found["success_at"], found["since"]) == (MONDAY.isoformat(), (MONDAY + WEEK).isoformat())


def test_a_task_that_never_went_well_has_no_success(store: Store) -> None:
    results.keep(report(MONDAY, host("web-1", task(State.UNKNOWN))), store)
    results.keep(report(MONDAY + WEEK, host("web-1", task(State.UNKNOWN))), store)
    assert (row(store)["success_at"], row(store)["since"]) == ("", MONDAY.isoformat())


def test_a_host_that_cannot_be_reached_is_unknown_in_all_its_tasks(store: Store) -> None:
    results.keep(report(MONDAY, host("web-1", task(State.DONE, due=3))), store)
    gone = HostReport("web-1", State.UNKNOWN, Reason.UNREACHABLE)
    results.keep(report(MONDAY + WEEK, gone), store)
    found = row(store)
    assert (found["state"], found["reason"], found["success_at"]) == ("unknown", "unreachable", MONDAY.isoformat())
    assert found["figures"] == {"due": 3}


def test_a_run_that_was_not_for_a_host_or_task_leaves_its_result(store: Store) -> None:
    results.keep(report(MONDAY, host("web-1", task(State.DONE))), store)
    other = replace(task(State.FAILED), task="other")
    results.keep(report(MONDAY + WEEK, HostReport("web-1", State.SKIPPED, Reason.NOT_SELECTED)), store)
    results.keep(report(MONDAY + WEEK, host("web-1", other)), store)
    assert row(store)["at"] == MONDAY.isoformat()


def test_the_first_end_of_a_hosts_certificates_is_kept(store: Store) -> None:
    rows = [{"not_after": "2027-02-01T00:00:00+00:00"}, {"not_after": "2026-12-01T00:00:00+00:00"}, {"place": "x"}]
    results.keep(report(MONDAY, host("web-1", task(State.DONE, certificates=rows))), store)
    assert row(store)["figures"] == {"first_end": "2026-12-01T00:00:00+00:00"}


def test_hosts_that_left_the_inventory_are_forgotten(store: Store) -> None:
    results.keep(report(MONDAY, host("web-1", task(State.DONE)), host("web-2", task(State.DONE))), store)
    results.forget_others(["web-2", "new"], store, MONDAY)
    assert set(store.memories.everywhere(results.KIND)) == {"web-2"}


def test_totals_grow_over_runs_and_restarts_and_never_shrink(tmp_path: Path) -> None:
    for freed in (100, -40):
        with Store.open(tmp_path / "state", create=True) as store:
            results.keep(report(MONDAY, host("web-1", task(State.DONE)), freed_now=freed, freed_at_purge=7), store)
    with Store.open(tmp_path / "state", create=False) as store:
        assert store.memories.read(results.FLEET, results.TOTALS) == {
            "results": {"done patches": 2},
            "changes": {},
            "runs": {"done run": 2},
            "seconds": {"run": 180.0},
            "last_seconds": {"run": 90.0},
            "freed": {"now": 100, "at_purge": 14},
        }
