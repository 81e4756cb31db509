"""What a person asks for, on small hosts: a purge of the trash, and a full disk that is healed."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenancebot import app
from maintenancebot.engine.progress import Progress, Silent
from maintenancebot.errors import UsageError
from maintenancebot.model import Reason, Report, State
from maintenancebot.report.document import report_from_json
from maintenancebot.report.exit_code import exit_code
from tests.lab.disks import Disk
from tests.unit.disks import configure, percent
from tests.unit.engine.boxes import DAYS, Box, Told, cleanup, clock
from tests.unit.places import Place, set_clock
from tests.unit.test_app import run, states

DAY = 86400
MIB = 2**20


def purge(place: Place, *items: str, dry: bool = False, told: Progress | None = None) -> Report:
    command = app.trash_purge_dry_run if dry else app.trash_purge
    return command(place, (), items, told or Silent(), threading.Event())


def age(box: Box, days: float, *names: str) -> None:
    """Let items of the trash have come so many days ago; all without names."""
    for path in (box.base / "var/lib/maintenancebot/trash").glob("*/manifest.json"):
        record = json.loads(path.read_text())
        if not names or Path(record["path"]).name in names:
            came = int(time.time()) + DAYS * DAY - int(days * DAY)
            path.write_text(json.dumps({**record, "quarantined_at": came, "purge_after": came + 30 * DAY}))


@pytest.fixture
def trash(box: Box, place: Place) -> Box:
    """A small host with three items in its trash: the first two are past their time."""
    run(place)
    age(box, 31, "1.log")
    age(box, 33, "2.log")
    return box


def left(box: Box) -> list[str]:
    records = [json.loads((path.parent / "manifest.json").read_text()) for path in box.trash]
    return sorted(Path(record["path"]).name for record in records)


def test_a_purge_deletes_what_its_dry_run_listed_and_nothing_younger(trash: Box, place: Place) -> None:
    before = (place.snapshot(), sorted(trash.base.rglob("*")))
    listed = purge(place, dry=True)
    assert (place.snapshot(), sorted(trash.base.rglob("*"))) == before
    assert states(listed) == [("2.log", State.PLANNED, Reason.NONE), ("1.log", State.PLANNED, Reason.NONE)]
    made = purge(place)
    assert states(made) == [("2.log", State.DONE, Reason.VERIFIED), ("1.log", State.DONE, Reason.VERIFIED)]
    assert (left(trash), exit_code(made)) == (["3.log"], 0)
    ids = [[one.change.id for one in report.hosts[0].tasks[0].changes] for report in (listed, made)]
    assert ids[0] == ids[1]
    assert all("freed_now" in one.measured for one in made.hosts[0].tasks[0].changes)
    again = purge(place)
    assert (again.state, states(again), exit_code(again)) == (State.NOTHING, [], 0)


def test_a_purge_is_a_run_like_any_other(trash: Box, place: Place) -> None:
    report = purge(place)
    with app.state(place) as store:
        stored = store.runs.get(report.run_id)
        assert (store.audit.verify().ok, store.intents.unfinished()) == (True, [])
    assert stored is not None
    assert stored.command == "trash purge"
    assert stored.report is not None
    assert report_from_json(stored.report) == report


def test_single_items_are_purged_by_name(trash: Box, place: Place) -> None:
    (listed,) = app.trash_list(place, (), Silent())
    ids = {Path(item.path).name: item.id for item in listed.items}
    purge(place, ids["1.log"])
    assert left(trash) == ["2.log", "3.log"]
    with pytest.raises(UsageError, match=rf"^web-1 keeps item {ids['3.log']} until 20"):
        purge(place, ids["2.log"], ids["3.log"])
    with pytest.raises(UsageError, match=r"^no item x in the trash of any host; see `maintenancebot trash list`$"):
        purge(place, "x")
    assert left(trash) == ["2.log", "3.log"]
    with app.state(place) as store:
        assert [one.command for one in store.runs.unfinished()] == []


def test_above_the_caps_the_oldest_are_purged_and_the_next_purge_goes_on(trash: Box, place: Place) -> None:
    place.configure(cleanup(), deletion={"caps": {"files": 1}})
    report = purge(place)
    assert (left(trash), report.hosts[0].tasks[0].facts["over_cap"]) == (["1.log", "3.log"], 1)
    purge(place)
    assert left(trash) == ["3.log"]


def test_the_kill_switch_is_asked_before_each_item(trash: Box, place: Place) -> None:
    told = Told()
    told.after = lambda host, name: app.stop(place, "wait", "ann")
    report = purge(place, told=told)
    assert [part[1:] for part in states(report)] == [(State.DONE, Reason.VERIFIED), (State.SKIPPED, Reason.STOPPED)]
    assert (left(trash), exit_code(report)) == (["1.log", "3.log"], 3)
    assert {part[2] for part in states(purge(place))} == {Reason.STOPPED}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"freeze": [{"start": "2000-01-01", "end": "2100-01-01"}]}, Reason.FREEZE),
        ({"guards": {"max_clock_skew_seconds": 1}}, Reason.CLOCK_SKEW),
        ({"guards": {"actions_per_day": 1}}, Reason.BUDGET_SPENT),
    ],
)
def test_guards_hold_for_a_purge(
    trash: Box,
    place: Place,
    settings: dict[str, Any],
    reason: Reason,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place.configure(cleanup(), **settings)
    if reason is Reason.CLOCK_SKEW:
        set_clock(monkeypatch, lambda: clock() + timedelta(seconds=60))
    report = purge(place)
    assert {part[2] for part in states(report)} == {reason}
    assert (len(left(trash)), exit_code(report)) == (3, 3)


def test_a_window_does_not_hold_up_a_purge(trash: Box, place: Place) -> None:
    day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][(clock().weekday() + 3) % 7]
    place.configure(cleanup(), window={"days": [day]})
    assert {part[2] for part in states(purge(place))} == {Reason.VERIFIED}


def test_another_machine_keeps_its_trash(trash: Box, place: Place) -> None:
    trash.become_machine("f" * 32)
    assert {part[2] for part in states(purge(place))} == {Reason.MACHINE_CHANGED}
    assert len(left(trash)) == 3


def test_two_names_of_one_machine_are_purged_once(
    trash: Box,
    boxes: dict[str, Box],
    place: Place,
) -> None:
    boxes["web-2"].session = trash.session
    boxes["web-2"].become_machine(trash.machine_id)
    place.list_hosts("web-1", "web-2")
    report = purge(place)
    assert [(host.state, host.reason) for host in report.hosts] == [
        (State.DONE, Reason.VERIFIED),
        (State.SKIPPED, Reason.SAME_MACHINE),
    ]


def test_a_purge_that_is_broken_off_is_settled_by_the_next_run(trash: Box, place: Place) -> None:
    told = Told()
    told.before = lambda host, name: trash.kill_helper()
    report = purge(place, told=told)
    assert [part[1] for part in states(report)] == [State.UNKNOWN, State.FAILED]
    assert (len(left(trash)), exit_code(report)) == (3, 1)
    (note,) = run(place).notes
    assert "purge_item /var/log/app/2.log" in note
    assert "found: not_started (still in the trash)" in note


def test_a_host_that_does_not_answer_is_in_the_report(
    trash: Box,
    boxes: dict[str, Box],
    place: Place,
) -> None:
    shutil.rmtree(boxes["web-2"].base)
    place.list_hosts("web-1", "web-2")
    report = purge(place)
    assert [host.state for host in report.hosts] == [State.DONE, State.UNKNOWN]
    assert exit_code(report) == 1


# A full disk


def heal(place: Place, mount: object, *, dry: bool = False, told: Progress | None = None) -> Report:
    command = app.remediate_disk_dry_run if dry else app.remediate_disk
    return command(place, "web-1", str(mount), told or Silent(), threading.Event())


def verdict(report: Report) -> tuple[State, Reason, int]:
    (host,) = report.hosts
    assert (host.state, host.reason) == (report.state, host.reason)
    return host.state, host.reason, exit_code(report)


def test_a_full_disk_gets_below_its_target_and_the_figures_are_those_of_the_file_system(
    disk: Disk, place: Place
) -> None:
    assert percent(disk) >= 94
    before = disk.free_bytes()
    report = heal(place, disk.mount_point)
    assert verdict(report) == (State.DONE, Reason.VERIFIED, 0)
    assert percent(disk) < 85
    (task,) = report.hosts[0].tasks
    assert task.facts["freed"] == disk.free_bytes() - before == task.facts["freed_now"]
    assert f"% -> {percent(disk)} %, " in task.detail
    assert State.NOTHING in {change.state for change in task.changes}, "more was planned than was needed"
    assert {change.reason for change in task.changes} == {Reason.VERIFIED, Reason.TARGET_MET}
    again = heal(place, disk.mount_point)
    assert verdict(again) == (State.NOTHING, Reason.TARGET_MET, 0)


def test_its_dry_run_lists_the_same_and_writes_nothing(disk: Disk, box: Box, place: Place) -> None:
    def seen() -> list[tuple[str, int, int]]:
        return sorted(
            (str(path), path.lstat().st_mtime_ns, path.lstat().st_ctime_ns)
            for path in (*disk.mount_point.rglob("*"), disk.mount_point, *(box.base / "var").rglob("*"))
        )

    before = seen()
    listed = heal(place, disk.mount_point, dry=True)
    assert seen() == before
    assert not place.state_dir.exists()
    assert verdict(listed) == (State.PLANNED, Reason.NONE, 0)
    made = heal(place, disk.mount_point)
    ids = [[one.change.id for one in report.hosts[0].tasks[0].changes] for report in (listed, made)]
    assert ids[0] == ids[1]


def test_when_nothing_allowed_frees_it_that_is_said_with_who_uses_the_space(disk: Disk, place: Place) -> None:
    configure(place, disk, ("purge",))
    for report in (heal(place, disk.mount_point, dry=True), heal(place, disk.mount_point)):
        assert verdict(report) == (State.FAILED, Reason.NOT_ENOUGH, 1)
        (task,) = report.hosts[0].tasks
        assert "nothing that is allowed frees it; most is in " in task.detail
        assert f"{disk.mount_point}/db" in task.detail


def test_what_was_done_and_is_not_enough_is_a_failure_with_its_figures(disk: Disk, place: Place) -> None:
    configure(place, disk, pattern={"path": f"{disk.mount_point}/logs/1.log", "retention_days": 30})
    assert verdict(heal(place, disk.mount_point, dry=True)) == (State.FAILED, Reason.NOT_ENOUGH, 1)
    report = heal(place, disk.mount_point)
    assert verdict(report) == (State.FAILED, Reason.NOT_ENOUGH, 1)
    (task,) = report.hosts[0].tasks
    assert [change.state for change in task.changes] == [State.DONE]
    assert "the target is below 85 %; most is in " in task.detail


def test_the_oldest_of_the_trash_are_purged_for_space_after_their_minimum_stay(disk: Disk, place: Place) -> None:
    run(place)
    items = sorted(disk.mount_point.glob(".maintenancebot/trash/*/manifest.json"))
    assert len(items) == 10
    configure(place, disk, ("purge",))
    assert verdict(heal(place, disk.mount_point))[1] is Reason.NOT_ENOUGH
    for number, path in enumerate(items):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "quarantined_at": record["quarantined_at"] - (8 + number) * DAY}))
    report = heal(place, disk.mount_point)
    assert verdict(report) == (State.DONE, Reason.VERIFIED, 0)
    gone = [path for path in items if not path.exists()]
    assert gone == items[-len(gone) :], "the oldest"
    assert 0 < len(gone) < 10
    assert report.hosts[0].tasks[0].facts["freed"] == report.hosts[0].tasks[0].facts["freed_now"]


def test_the_kill_switch_ends_it_after_the_change_in_hand(disk: Disk, place: Place) -> None:
    told = Told()
    told.after = lambda host, name: app.stop(place, "wait", "ann")
    report = heal(place, disk.mount_point, told=told)
    assert verdict(report) == (State.SKIPPED, Reason.STOPPED, 3)
    assert [change.state for change in report.hosts[0].tasks[0].changes].count(State.DONE) == 1


def test_only_a_mount_point_of_the_host_is_healed(disk: Disk, place: Place) -> None:
    missing, special = (State.FAILED, Reason.MISSING, 1), (State.SKIPPED, Reason.SPECIAL, 0)
    for mount, told in ((disk.mount_point / "logs", missing), ("/no/such", missing), ("/proc", special)):
        assert verdict(heal(place, mount)) == told
    with pytest.raises(UsageError):
        app.remediate_disk(place, "nobody", "/", Silent(), threading.Event())
    assert os.listdir(disk.mount_point / "logs") != []


def test_a_host_that_cannot_be_measured_afterwards_is_unknown(disk: Disk, box: Box, place: Place) -> None:
    told, session = Told(), box.session

    def once() -> Any:
        if len(box.executions) >= 2:
            shutil.move(box.base / "machine-id", box.base / "gone")
        return session()

    box.session = once
    report = heal(place, disk.mount_point, told=told)
    assert report.hosts[0].state is State.UNKNOWN
    assert report.hosts[0].tasks[0].detail.startswith("not measured afterwards: ")
