"""What differs is named with both values, who wrote it, and the lines where a host may tell them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from maintenancebot.model import (
    Action,
    Change,
    ChangeReport,
    HostReport,
    Reason,
    Report,
    State,
    TaskReport,
    TaskType,
    Undo,
)
from maintenancebot.report import drift_rows, text
from maintenancebot.report.totals import totals

AT = datetime(2026, 11, 21, 3, tzinfo=UTC)

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


WRITERS = "of package base-files; open in vi (812); logged in then: ann 192.0.2.7"


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


@pytest.mark.parametrize(
    ("differs", "missing", "extra", "expected"),
    [
        (["exclusive"], [], ["ssh-rsa SHA256:bb eve"], "extra ssh-rsa SHA256:bb eve"),
        (["exclusive", "keys"], ["ssh-rsa SHA256:aa ann"], ["x", "y"], "extra x, y; missing ssh-rsa SHA256:aa ann"),
        (["keys"], ["ssh-rsa SHA256:aa ann"], [], "missing ssh-rsa SHA256:aa ann"),
    ],
)
def test_of_authorized_keys_those_are_named_that_are_too_many_or_too_few(
    differs: list[str], missing: list[str], extra: list[str], expected: str
) -> None:
    wanted: dict[str, Any] = {"exclusive": True, "keys": ["ssh-rsa AAAA ann"]}
    found: dict[str, Any] = {"exclusive": not extra, "keys": ["k"], "missing": missing, "extra": extra}
    assert said(differs=differs, wanted=wanted, found=found).startswith(f"{expected}; reported only")
    identity = {"wanted": wanted, "found": found}
    assert drift_rows.replaced(Change("c1", "drift", Action.CORRECT_KEYS, "keys:ann", identity, Undo.TRASH)) == expected


def test_what_is_not_there_or_cannot_be_read_says_so() -> None:
    assert said(state="missing", found={}).startswith("missing; reported only")
    assert said(state="unreadable", error="Permission denied").startswith("unreadable; Permission denied")


def test_what_explains_it_stands_in_place_of_who_wrote_it() -> None:
    told = said(explained={"by": "package", "package": "base-files", "version": "12.4"}, note="")
    assert "by package base-files 12.4" in told
    assert "vi (812)" not in told


@pytest.mark.parametrize(
    ("at", "expected"),
    [(1795301993, "12.4 2026-11-21 22:59 UTC"), (9e99, "12.4 9e+99"), (None, "12.4"), ("noon", "12.4 noon")],
)
def test_when_it_was_explained_is_a_time_of_people(at: Any, expected: str) -> None:
    told = said(explained={"by": "package", "version": "12.4", "at": at}, note="")
    assert f"by package {expected}; declared" in told


@pytest.mark.parametrize(
    ("state", "named"), [(State.SKIPPED, True), (State.FAILED, True), (State.DONE, False), (State.WAITING, False)]
)
def test_who_wrote_what_could_not_be_corrected_is_named(state: State, named: bool) -> None:
    change = ChangeReport(Change("c1", "drift", Action.CORRECT_FILE, ROW["item"], {}, Undo.TRASH), state)
    found = drift_rows.writers(replace(task(corrected=[ROW]), changes=(change,)))
    assert found == ({ROW["item"]: WRITERS} if named else {})


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


def test_the_line_of_a_change_that_was_left_alone_has_them() -> None:
    change = Change("c1", "drift", Action.CORRECT_FILE, ROW["item"], {}, Undo.TRASH)
    left = ChangeReport(change, State.SKIPPED, Reason.IMMUTABLE)
    host = HostReport("web-1", State.FAILED, tasks=(replace(task(corrected=[ROW]), changes=(left,)),))
    report = Report("run", "r1", AT, AT, State.FAILED, (host,), totals([host]))
    assert f"immutable; {WRITERS}; undo: trash restore" in text.plain(report)
