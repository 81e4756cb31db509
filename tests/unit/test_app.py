"""The application over the real local host, and over small hosts where something is changed."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from maintenancebot import app
from maintenancebot.engine.progress import Progress, Silent
from maintenancebot.errors import BusyError, PlanError, StoreError, UsageError
from maintenancebot.model import Reason, Report, State
from maintenancebot.plan.document import Plan, plan_to_json
from maintenancebot.report.document import report_from_json
from maintenancebot.store import Store
from maintenancebot.store.leases import CYCLE
from tests.unit.engine.boxes import Box, Told, cleanup, clock
from tests.unit.places import Place, set_clock


def dry_run(place: Place, progress: Progress | None = None, **more: Any) -> tuple[Report, Plan]:
    return app.dry_run(place, progress=progress or Silent(), stop=threading.Event(), **more)


def run(place: Place, progress: Progress | None = None, **more: Any) -> Report:
    return app.run(place, progress=progress or Silent(), stop=threading.Event(), **more)


def states(report: Report) -> list[tuple[str, State, Reason]]:
    """Name, state and reason of every change."""
    return [
        (Path(part.change.name).name, part.state, part.reason)
        for host in report.hosts
        for task in host.tasks
        for part in task.changes
    ]


# This machine


@pytest.fixture
def here(place: Place, tmp_path: Path) -> Place:
    """This very machine, and a backup of just now on it."""
    backups = tmp_path / "backups"
    backups.mkdir()
    (backups / "db.dump").write_bytes(b"data\n" * 1000)
    source = {"type": "files", "name": "db", "path": f"{backups}/*.dump"}
    task = {"name": "backups", "type": "verify", "check": "backup_completed_within_24h", "sources": [source]}
    place.configure(task)
    place.list_hosts("this")
    return place


def test_a_first_dry_run_leaves_no_state_behind(here: Place) -> None:
    report, plan = dry_run(here)
    assert (report.command, report.state, [host.host for host in report.hosts]) == ("dry-run", State.DONE, ["this"])
    assert plan.hosts[0].machine_id == Path("/etc/machine-id").read_text().strip()
    assert not here.state_dir.exists()


def test_a_dry_run_beside_an_older_state_writes_not_one_byte(here: Place) -> None:
    run(here)
    before = here.snapshot()
    report, _ = dry_run(here)
    assert report.state is State.DONE
    assert here.snapshot() == before


def test_a_run_that_only_looks_can_be_repeated(here: Place) -> None:
    first, second = run(here), run(here)
    assert [report.state for report in (first, second)] == [State.DONE] * 2
    assert first.run_id != second.run_id
    with app.state(here) as store:
        assert store.audit.verify().ok
        stored = [store.runs.get(report.run_id) for report in (first, second)]
    for made, found in zip((first, second), stored, strict=True):
        assert found is not None
        assert found.report is not None
        assert report_from_json(found.report) == made


def test_a_machine_is_remembered_after_its_first_run(here: Place) -> None:
    run(here)
    with app.state(here) as store:
        assert store.machines.known("this") == Path("/etc/machine-id").read_text().strip()


def test_what_is_not_there_is_a_usage_error(here: Place) -> None:
    with pytest.raises(UsageError) as caught:
        dry_run(here, hosts=("that",))
    assert str(caught.value) == "no host is named 'that'; see `maintenancebot hosts`"
    with pytest.raises(UsageError) as caught:
        run(here, tasks=("tidy",))
    assert str(caught.value) == "no task is named 'tidy'; there are: backups"
    assert not here.state_dir.exists()


def test_a_damaged_state_is_never_run_on(here: Place) -> None:
    run(here)
    (here.state_dir / "state.db").write_bytes(b"x" * 5000)
    for command in (run, dry_run):
        with pytest.raises(StoreError):
            command(here)


# Small hosts, where something is changed


ALL = ["1.log", "2.log", "3.log"]


def planned(place: Place, tmp_path: Path) -> Path:
    """The file of a dry run's plan."""
    _, plan = dry_run(place)
    (tmp_path / "plan.json").write_text(json.dumps(plan_to_json(plan)))
    return tmp_path / "plan.json"


def test_a_run_makes_what_the_dry_run_listed_and_a_second_one_nothing(boxes: dict[str, Box], place: Place) -> None:
    listed, _ = dry_run(place)
    assert states(listed) == [(name, State.PLANNED, Reason.NONE) for _ in boxes for name in ALL]
    assert [box.names() for box in boxes.values()] == [ALL, ALL]
    made = run(place)
    assert states(made) == [(name, State.DONE, Reason.VERIFIED) for _ in boxes for name in ALL]
    ids = [[part.change.id for host in report.hosts for part in host.tasks[0].changes] for report in (listed, made)]
    assert ids[0] == ids[1]
    assert [box.names() for box in boxes.values()] == [[], []]
    again = run(place)
    assert (again.state, states(again)) == (State.NOTHING, [])


def test_a_plan_is_run_exactly(box: Box, place: Place, tmp_path: Path) -> None:
    path = planned(place, tmp_path)
    box.write("4.log")
    report = run(place, plan_file=path)
    assert [name for name, state, _ in states(report) if state is State.DONE] == ALL
    assert box.names() == ["4.log"]
    again = run(place, plan_file=path)
    assert {(state, reason) for _, state, reason in states(again)} == {(State.NOTHING, Reason.ALREADY_GONE)}


def refusal(place: Place, path: Path) -> tuple[Reason, str]:
    with pytest.raises(PlanError) as caught:
        run(place, plan_file=path)
    return caught.value.reason, str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda place: place.configure(cleanup(retention_days=31)),
        lambda place: place.configure(cleanup(), guards={"fleet_share": 0.5}),
        lambda place: place.configure(cleanup("other")),
    ],
    ids=["retention", "guards", "name"],
)
def test_a_plan_of_another_configuration_is_refused_before_anything(
    change: Callable[[Place], None], box: Box, place: Place, tmp_path: Path
) -> None:
    path = planned(place, tmp_path)
    change(place)
    executions = len(box.executions)
    words = f"{path}: the configuration changed after the plan was made; make the plan anew"
    assert refusal(place, path) == (Reason.PLAN_CHANGED, words)
    assert (box.names(), len(box.executions), place.state_dir.exists()) == (ALL, executions, False)


def test_an_expired_plan_is_refused(box: Box, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = planned(place, tmp_path)
    set_clock(monkeypatch, lambda: clock() + timedelta(hours=25))
    assert refusal(place, path)[0] is Reason.PLAN_EXPIRED
    assert box.names() == ALL


def test_a_plan_for_a_host_that_is_gone_is_refused(box: Box, place: Place, tmp_path: Path) -> None:
    path = planned(place, tmp_path)
    place.list_hosts("web-2")
    with pytest.raises(UsageError, match=r"^the plan is for 'web-1', which is not in the inventory"):
        run(place, plan_file=path)
    assert box.names() == ALL


def test_a_task_that_is_not_for_the_host_any_more_is_skipped(
    boxes: dict[str, Box], place: Place, tmp_path: Path
) -> None:
    place.configure({**cleanup(), "hosts": ["web"]})
    grouped = {name: {"connection": "local", "become": False, "groups": ["web"]} for name in boxes}
    groups: dict[str, Any] = {"groups": {"web": {}}}
    place.inventory.write_text(yaml.safe_dump({**groups, "hosts": grouped}))
    path = planned(place, tmp_path)
    del grouped["web-1"]["groups"]
    place.inventory.write_text(yaml.safe_dump({**groups, "hosts": grouped}))
    report = run(place, plan_file=path)
    assert states(report)[:3] == [(name, State.SKIPPED, Reason.NOT_SELECTED) for name in ALL]
    assert (boxes["web-1"].names(), boxes["web-2"].names()) == (ALL, [])


def test_a_host_that_could_not_be_planned_is_in_the_report_of_the_plans_run(
    boxes: dict[str, Box], place: Place, tmp_path: Path
) -> None:
    shutil.rmtree(boxes["web-2"].base)
    path = planned(place, tmp_path)
    report = run(place, plan_file=path)
    assert [(host.host, host.state) for host in report.hosts] == [("web-1", State.DONE), ("web-2", State.UNKNOWN)]
    assert report.state is State.UNKNOWN


def test_another_machine_under_a_known_name_is_not_changed(box: Box, place: Place) -> None:
    run(place)
    box.become_machine("f" * 32)
    box.write("4.log")
    report = run(place)
    assert states(report) == [("4.log", State.SKIPPED, Reason.MACHINE_CHANGED)]
    assert box.names() == ["4.log"]


def test_a_stopped_bot_looks_and_changes_nothing(box: Box, place: Place) -> None:
    app.stop(place, "disk swap", "ann")
    report = run(place)
    assert {(state, reason) for _, state, reason in states(report)} == {(State.SKIPPED, Reason.STOPPED)}
    assert box.names() == ALL


def test_a_second_run_beside_the_first_is_refused(box: Box, place: Place) -> None:
    with Store.open(place.state_dir, create=True) as store:
        store.leases.take(CYCLE, "a run of run first", at=clock(), seconds=60)
        with pytest.raises(BusyError, match=rf"another run is at work \(process {os.getpid()}, a run of run first\)"):
            run(place)
    assert (box.names(), box.executions) == (ALL, [])


# Runs that are broken off


def test_what_a_run_left_unfinished_is_told_by_the_next_one(box: Box, place: Place) -> None:
    told = Told()
    told.before = lambda host, name: box.kill_helper() if name.endswith("2.log") else None
    broken = run(place, told)
    assert states(broken) == [
        ("1.log", State.DONE, Reason.VERIFIED),
        ("2.log", State.UNKNOWN, Reason.LINK_LOST),
        ("3.log", State.FAILED, Reason.LINK_LOST),
    ]
    looked, _ = dry_run(place)
    taken_up = run(place)
    words = (
        f"web-1: quarantine_file /var/log/app/2.log of run {broken.run_id} was unfinished; "
        "found: not_started (found untouched)"
    )
    assert [list(report.notes) for report in (looked, taken_up)] == [[words], [words]]
    assert states(taken_up) == [(name, State.DONE, Reason.VERIFIED) for name in ALL[1:]]
    assert (run(place).notes, box.names()) == ((), [])


def test_a_plan_is_run_after_what_was_unfinished_is_told(box: Box, place: Place, tmp_path: Path) -> None:
    path = planned(place, tmp_path)
    told = Told()
    told.before = lambda host, name: box.kill_helper() if name.endswith("2.log") else None
    broken = run(place, told, plan_file=path)
    report = run(place, plan_file=path)
    assert len(report.notes) == 1
    assert f"of run {broken.run_id} was unfinished; found: not_started" in report.notes[0]
    assert [state for _, state, _ in states(report)] == [State.NOTHING, State.DONE, State.DONE]
    with app.state(place) as store:
        assert store.intents.unfinished() == []


def test_a_state_that_cannot_be_written_any_more_does_not_cost_the_report(
    boxes: dict[str, Box], place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maintenancebot.store.database.BUSY_MILLISECONDS", 50)
    place.configure(cleanup(), ssh={"parallel": 1, "idle_timeout": 20})
    Store.open(place.state_dir, create=True).close()
    busy = sqlite3.connect(place.state_dir / "state.db", isolation_level=None, check_same_thread=False)
    told = Told()
    told.after = lambda host, name: busy.execute("BEGIN IMMEDIATE") if len(told.steps) == 2 else None
    report = run(place, told)
    busy.close()
    refused = (State.SKIPPED, Reason.AUDIT_UNWRITABLE)
    done = (State.DONE, Reason.VERIFIED)
    assert [part[1:] for part in states(report)] == [done, done, refused, refused, refused, refused]
    assert report.state is State.UNKNOWN
    (note,) = report.notes
    assert note.startswith("the end of this run could not be stored: ")
    assert (boxes["web-1"].names(), boxes["web-2"].names()) == (ALL[2:], ALL)


def test_a_signal_ends_the_run_with_a_report_of_all_hosts(boxes: dict[str, Box], place: Place) -> None:
    place.configure(cleanup(), ssh={"parallel": 1, "idle_timeout": 20})
    stop, told = threading.Event(), Told()
    told.before = lambda host, name: stop.set()
    report = app.run(place, progress=told, stop=stop)
    assert [reason for _, _, reason in states(report)] == [Reason.VERIFIED] + [Reason.INTERRUPTED] * 5
    assert boxes["web-2"].names() == ALL


def test_a_signal_before_the_first_look_leaves_every_host_interrupted(boxes: dict[str, Box], place: Place) -> None:
    stop = threading.Event()
    stop.set()
    report = app.run(place, progress=Silent(), stop=stop)
    assert [(h.state, h.reason) for h in report.hosts] == [(State.SKIPPED, Reason.INTERRUPTED)] * 2
    assert [box.executions for box in boxes.values()] == [[], []]


# Restoring


def test_what_went_to_the_trash_is_given_back_through_the_same_record(box: Box, place: Place) -> None:
    run(place)
    (listed,) = app.trash_list(place, (), Silent())
    item = next(item for item in listed.items if item.path.endswith("2.log"))
    outcome = app.trash_restore(place, "web-1", item.id, None)
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED)
    assert box.names() == ["2.log"]
    report = run(place)
    assert states(report) == [], "what was restored is left alone for a while"
    with app.state(place) as store:
        assert (store.audit.verify().ok, store.intents.unfinished()) == (True, [])


def test_a_restore_is_a_run_with_a_report(box: Box, place: Place) -> None:
    run(place)
    (listed,) = app.trash_list(place, (), Silent())
    app.trash_restore(place, "web-1", listed.items[0].id, None)
    with app.state(place) as store:
        newest = store.runs.get(store.runs.latest(1)[0].id)
    assert newest
    assert newest.totals
    assert newest.report
    assert newest.command == "trash restore"
    assert (newest.totals["changes"], newest.totals["files_restored"]) == ({"done": 1}, 1)
    ((one,),) = [task["changes"] for task in newest.report["hosts"][0]["tasks"]]
    assert (one["action"], one["state"], one["reason"]) == ("restore_file", "done", "verified")


def test_a_restore_does_not_depend_on_the_clocks(box: Box, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run(place)
    (listed,) = app.trash_list(place, (), Silent())
    set_clock(monkeypatch, lambda: clock() + timedelta(days=400))
    outcome = app.trash_restore(place, "web-1", listed.items[0].id, None)
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED)


def test_a_restore_is_refused_while_everything_is_stopped(box: Box, place: Place) -> None:
    run(place)
    (listed,) = app.trash_list(place, (), Silent())
    app.stop(place, "disk swap", "ann")
    outcome = app.trash_restore(place, "web-1", listed.items[0].id, None)
    assert (outcome.state, outcome.reason, outcome.detail) == (
        State.SKIPPED,
        Reason.STOPPED,
        "stopped by ann: disk swap",
    )
    assert box.names() == []


def test_an_item_that_is_not_there_is_a_usage_error(box: Box, place: Place) -> None:
    with pytest.raises(UsageError) as caught:
        app.trash_restore(place, "web-1", "20261121T120000Z-0123456789abcdef", None)
    assert str(caught.value) == (
        "web-1 has no item 20261121T120000Z-0123456789abcdef in its trash; see `maintenancebot trash list`"
    )


def test_the_real_clock_has_a_time_zone() -> None:
    assert isinstance(app.now(), datetime)
    assert app.now().tzinfo is not None
