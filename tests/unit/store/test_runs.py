import pytest

from maintenancebot.errors import UsageError
from maintenancebot.model import State
from maintenancebot.store import Store
from tests.unit.store.examples import NOON, ODD, later


def start(store: Store, *ids: str) -> None:
    for minute, run_id in enumerate(ids):
        store.runs.start(run_id, "run", "c" * 64, at=later(minutes=minute))


def test_a_run_has_its_report_totals_and_state(store: Store) -> None:
    start(store, "20261121T120000Z-aaaaaa")
    report = {"hosts": [{"host": "web-1", "detail": ODD}]}
    store.runs.finish("20261121T120000Z-aaaaaa", State.DONE, {"changes": {"done": 1}}, report, at=later(minutes=5))
    run = store.runs.get("20261121T120000Z-aaaaaa")
    assert run is not None
    assert (run.command, run.state, run.started_at, run.finished_at) == ("run", State.DONE, NOON, later(minutes=5))
    assert (run.totals, run.report) == ({"changes": {"done": 1}}, report)


def test_the_newest_runs_come_first_and_without_their_reports(store: Store) -> None:
    start(store, "a", "b", "c")
    store.runs.finish("b", State.DONE, {}, {"large": 1}, at=later(minutes=9))
    assert [(run.id, run.report) for run in store.runs.latest(2)] == [("c", None), ("b", None)]


def test_a_run_without_an_end_is_unfinished(store: Store) -> None:
    start(store, "a", "b")
    store.runs.finish("b", State.FAILED, {}, {}, at=later(minutes=9))
    assert [run.id for run in store.runs.unfinished()] == ["a"]


def test_a_run_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    start(store, "20261121T120000Z-aaaaaa", "20261122T120000Z-bbbbbb")
    found = store.runs.get("20261122")
    assert found is not None
    assert found.id == "20261122T120000Z-bbbbbb"
    assert store.runs.get("2027") is None
    assert store.runs.get("") is None
    assert store.runs.get("%") is None


def test_a_beginning_that_several_runs_share_is_refused(store: Store) -> None:
    start(store, "run-1", "run-12", "run-2")
    with pytest.raises(UsageError, match="several runs begin with 'run': run-1, run-12, run-2"):
        store.runs.get("run")
    exact = store.runs.get("run-1")
    assert exact is not None
    assert exact.id == "run-1"
