"""The verdict over a full disk: the measure decides, and what could not be seen is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from maintenancebot.engine import remediation
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, ChangeReport, HostReport, Reason, State, TaskReport, TaskType, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.filesystem import Disk, Measure, told
from maintenancebot.settings import Way
from tests.unit.engine.boxes import Box, settings, work
from tests.unit.engine.scripted import Scripted, ended, facts

MIB = 2**20


def disk(percent: int, inode_percent: int = 1) -> Disk:
    used = 2 * MIB * percent
    return Disk(
        "/srv", "ext4", Measure(7, 200 * MIB, used, 200 * MIB - used, percent, 100, inode_percent, 100, inode_percent)
    )


def change(state: State, reason: Reason = Reason.VERIFIED) -> ChangeReport:
    made = make_change("web-1", "t", Action.PURGE_ITEM, name="/srv/a", identity={}, undo=Undo.NONE)
    return ChangeReport(made, state, reason)


def verdict(after: Disk | RemoteError, *changes: ChangeReport, before: Disk | None = None) -> TaskReport:
    told_before = {"disk": told(before or disk(95)), "target_percent": 80, "is_enough": True}
    task = TaskReport("t", TaskType.CLEANUP, State.DONE, changes=changes, facts=told_before)
    report = remediation.verdict(HostReport("web-1", State.DONE, tasks=(task,)), after)
    assert (report.state, report.reason) == (report.tasks[0].state, report.tasks[0].reason)
    return report.tasks[0]


DONE, LEFT = change(State.DONE), change(State.NOTHING, Reason.TARGET_MET)


@pytest.mark.parametrize(
    ("after", "changes", "expected"),
    [
        (79, (DONE, LEFT), (State.DONE, Reason.VERIFIED)),
        (79, (DONE, change(State.SKIPPED, Reason.CHANGED_SINCE)), (State.DONE, Reason.VERIFIED)),
        (79, (LEFT,), (State.NOTHING, Reason.TARGET_MET)),
        (80, (DONE, LEFT), (State.FAILED, Reason.NOT_ENOUGH)),
        (95, (DONE,), (State.FAILED, Reason.NO_EFFECT)),
        (95, (change(State.SKIPPED, Reason.IN_USE),), (State.FAILED, Reason.NOT_ENOUGH)),
        (90, (DONE, change(State.SKIPPED, Reason.STOPPED)), (State.SKIPPED, Reason.STOPPED)),
        (90, (change(State.WAITING, Reason.BLAST_RADIUS),), (State.WAITING, Reason.BLAST_RADIUS)),
        (70, (DONE, change(State.FAILED, Reason.WRITE_ERROR)), (State.FAILED, Reason.WRITE_ERROR)),
        (70, (DONE, change(State.UNKNOWN, Reason.LINK_LOST)), (State.UNKNOWN, Reason.LINK_LOST)),
    ],
)
def test_the_measure_decides(after: int, changes: tuple[ChangeReport, ...], expected: tuple[State, Reason]) -> None:
    found = verdict(disk(after), *changes)
    assert (found.state, found.reason) == expected


def test_the_figures_are_those_of_the_file_system() -> None:
    found = verdict(disk(78), DONE)
    assert (found.detail, found.facts["freed"]) == ("/srv: 95 % -> 78 %, 34.0 MiB freed", 34 * MIB)
    assert verdict(disk(96), DONE).facts["freed"] == -2 * MIB
    assert verdict(disk(96), DONE).detail == "/srv: 95 % -> 96 %, 0 B freed; the target is below 80 %"
    assert "1 % -> 1 % of" not in found.detail
    inodes = verdict(disk(50, 70), DONE, before=disk(50, 95))
    assert inodes.detail.startswith("/srv: 95 % -> 70 % of the inodes, ")


def test_what_could_not_be_measured_is_unknown_whatever_was_done() -> None:
    found = verdict(RemoteError(Reason.UNREACHABLE, "refused"), DONE)
    assert (found.state, found.reason, found.detail) == (
        State.UNKNOWN,
        Reason.UNREACHABLE,
        "not measured afterwards: refused",
    )


FULL = {
    "mount": "/srv", "fs_type": "ext4", "dev": 7, "total": 100, "used": 95, "available": 5, "percent": 95, "inodes": 9,
    "inodes_used": 1, "inodes_available": 8, "inode_percent": 12, "elsewhere": None, "partial": False,
}  # fmt: skip
CLEAN = {"patterns": [], "kept": {}, "matched": 0, "tree_files": 0}


def diagnosed(*, disk: Any = FULL, cleanup: Any = None, trash: Any = None, **looked_as: Any) -> TaskReport:
    frames = [
        facts(),
        ended("disk", **{"facts": disk, **looked_as}),
        ended("trash", **(trash or {})),
        ended("cleanup", **(cleanup or {"facts": CLEAN})),
    ]
    surroundings = replace(work([], settings()), connect=lambda host: Scripted(*frames))
    looked = remediation.diagnose(Scripted().host, "/srv", surroundings.settings.tasks, surroundings)  # type: ignore[arg-type]
    assert looked.plan is not None
    (task,) = looked.plan.tasks
    return TaskReport(task.task, task.type, task.state, task.reason, task.detail)


def test_a_look_that_failed_is_not_the_same_as_nothing_to_free() -> None:
    assert diagnosed().reason is Reason.NOT_ENOUGH
    broken = {"state": "unknown", "reason": "helper_error", "detail": "oops"}
    for part in ("cleanup", "trash"):
        found = diagnosed(**{part: broken})
        assert (found.state, found.reason) == (State.UNKNOWN, Reason.HELPER_ERROR)
        assert found.detail.endswith("; oops")


@pytest.mark.parametrize(
    "odd", [{}, {**FULL, "used": "95"}, {**FULL, "available": -1}, {**FULL, "elsewhere": {"dev": 1}}]
)
def test_a_measure_that_is_no_measure_is_unknown(odd: Any) -> None:
    found = diagnosed(disk=odd)
    assert (found.state, found.reason) == (State.UNKNOWN, Reason.GARBLED)


@pytest.mark.parametrize(("reason", "state"), [("missing", State.FAILED), ("read_only", State.SKIPPED)])
def test_a_name_that_is_no_mount_point_is_no_success(reason: str, state: State) -> None:
    found = diagnosed(state="skipped", reason=reason, detail="/srv is no mount point of this host")
    assert (found.state, found.reason, found.detail) == (state, Reason(reason), "/srv is no mount point of this host")


def test_a_host_that_cannot_be_reached_has_no_plan(box: Box) -> None:
    looked = remediation.diagnose(replace(box.host, name="away"), "/srv", (), work([box]))
    assert (looked.plan, looked.reason) == (None, Reason.UNREACHABLE)


class Reversed:
    def order(self, ways: Sequence[Way], disk: Disk) -> Sequence[Way]:
        return ways[::-1]


class Wider:
    def order(self, ways: Sequence[Way], disk: Disk) -> Sequence[Way]:
        return [*ways, Way.PURGE]


class Narrower:
    def order(self, ways: Sequence[Way], disk: Disk) -> Sequence[Way]:
        return ways[1:]


class Broken:
    def order(self, ways: Sequence[Way], disk: Disk) -> Sequence[Way]:
        raise RuntimeError


def test_a_ranking_may_only_exchange_the_order_of_the_ways() -> None:
    rules = settings(remediation={"disk": {"ways": ["package_cache", "journal"]}})
    as_they_are = (Way.PACKAGE_CACHE, Way.JOURNAL)
    assert remediation.ranked(rules, disk(95), Reversed()).remediation.disk.ways == as_they_are[::-1]
    for ranking in (remediation.AsConfigured(), Wider(), Narrower(), Broken()):
        assert remediation.ranked(rules, disk(95), ranking).remediation.disk.ways == as_they_are


def test_what_was_tried_is_not_planned_again() -> None:
    made = [
        make_change("web-1", "t", Action.PURGE_ITEM, name=f"/srv/{name}", identity={"n": name}, undo=Undo.NONE)
        for name in "ab"
    ]
    facts = {"is_enough": True}
    planned = TaskPlan("t", TaskType.CLEANUP, State.PLANNED, detail="/srv: 95 %", changes=tuple(made), facts=facts)
    assert remediation.untried(planned, frozenset()) is planned
    left = remediation.untried(planned, frozenset({made[0].id}))
    assert (left.changes, left.state, left.facts["is_enough"]) == ((made[1],), State.PLANNED, False)
    nothing = remediation.untried(planned, frozenset(one.id for one in made))
    assert (nothing.changes, nothing.state, nothing.reason) == ((), State.FAILED, Reason.NOT_ENOUGH)
    assert nothing.detail == "/srv: 95 %; all that is allowed was tried"
