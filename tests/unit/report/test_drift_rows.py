"""What differs is named with both values, who wrote it, and the lines where a host may tell them."""

from __future__ import annotations

from typing import Any

import pytest

from maintenancebot.model import Action, Change, State, TaskReport, TaskType, Undo
from maintenancebot.report import drift_rows

ROW: dict[str, Any] = {
    "item": "file:/etc/motd",
    "state": "differs",
    "differs": ["sha256", "mode"],
    "wanted": {"sha256": "a" * 64, "mode": "0644"},
    "found": {"sha256": "b" * 64, "mode": "0600"},
    "explained": {},
    "writers": {"package": "base-files", "processes": ["vi (812)"], "logins": [{"user": "ann", "from": "192.0.2.7"}]},
    "correct": "never",
    "place": "baselines/web.yaml:3",
    "diff": [],
    "note": "reported only",
}


def task(type_: TaskType = TaskType.DRIFT, **rows: list[dict[str, Any]]) -> TaskReport:
    return TaskReport("drift", type_, State.FAILED, facts=rows)


def said(**more: Any) -> str:
    (found,) = drift_rows.differences(task(drifted=[{**ROW, **more}]))
    return found.rest


def test_both_values_and_who_wrote_it_are_named() -> None:
    (found,) = drift_rows.differences(task(drifted=[ROW]))
    assert found[:3] == (State.FAILED, "drifted", "file:/etc/motd")
    assert found.rest == (
        "sha256 aaaaaaaaaaaa…, found bbbbbbbbbbbb…; mode 0644, found 0600; reported only; of package base-files; "
        "open in vi (812); logged in then: ann 192.0.2.7; declared in baselines/web.yaml:3"
    )


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (True, False, "x yes, found no"),
        (["a", "b"], [], "x 2 entries, found none"),
        (["a"], None, 'x "a", found nothing'),
        (5, 6, "x 5, found 6"),
    ],
)
def test_values_of_all_kinds_are_told(wanted: Any, found: Any, expected: str) -> None:
    assert said(differs=["x"], wanted={"x": wanted}, found={"x": found}).startswith(expected)


def test_what_is_not_there_or_cannot_be_read_says_so() -> None:
    assert said(state="missing", found={}).startswith("missing; reported only")
    assert said(state="unreadable", error="Permission denied").startswith("unreadable; Permission denied")


def test_what_explains_it_stands_in_place_of_who_wrote_it() -> None:
    told = said(explained={"by": "package", "package": "base-files", "version": "12.4"}, note="")
    assert "by package base-files 12.4" in told
    assert "vi (812)" not in told


def test_lines_are_cut_unless_all_are_wanted() -> None:
    row = {**ROW, "diff": [f"+line {number}" for number in range(30)]}
    ((item, lines),) = drift_rows.diffs(task(corrected=[row]), verbose=False)
    assert (item, len(lines), lines[-1]) == ("file:/etc/motd", 11, "… and 20 more; -v lists all")
    ((_, lines),) = drift_rows.diffs(task(corrected=[row]), verbose=True)
    assert len(lines) == 30


def test_other_tasks_have_none() -> None:
    assert drift_rows.differences(task(TaskType.CLEANUP, drifted=[ROW])) == []
    assert list(drift_rows.diffs(task(TaskType.CLEANUP, drifted=[{**ROW, "diff": ["x"]}]), verbose=True)) == []


def test_a_correction_names_the_values_by_which_it_is_undone() -> None:
    def change(action: Action, **identity: Any) -> Change:
        return Change("c1", "drift", action, "service:cron", identity, Undo.SET_BACK)

    wanted, found = {"enabled": True, "active": True}, {"enabled": False, "active": True}
    corrected = change(Action.CORRECT_SERVICE, wanted=wanted, found=found)
    assert drift_rows.replaced(corrected) == "enabled yes, found no"
    assert drift_rows.replaced(change(Action.CORRECT_FILE, wanted=wanted, found={})) == ""
    assert drift_rows.replaced(change(Action.QUARANTINE_FILE, path="/x")) == ""
