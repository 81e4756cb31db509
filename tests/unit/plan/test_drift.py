"""What is declared and what was found: what explains it, and what is reported of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from maintenancebot.actions import drift as actions
from maintenancebot.model import Action, Autonomy, Reason, State
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import (
    Allowance,
    Correct,
    Item,
    ItemKind,
    OwnChange,
)
from maintenancebot.store.corrections import STEP
from tests.unit.plan.declaring import (
    FOUND,
    NOW,
    WANTED,
    differs,
    explained,
    motd,
    plan,
    settings,
    task,
    verdict,
)


def test_a_host_as_declared_has_nothing_to_do():
    made = plan(task(motd(), motd(name="/etc/issue")))
    assert verdict(made) == (State.NOTHING, Reason.AS_DECLARED)
    assert (made.detail, made.facts["items"], made.facts["counts"]) == ("2 items", 2, {})


def test_what_may_not_be_corrected_is_a_failure_that_names_it():
    item = motd(correct=Correct.NEVER)
    made = plan(task(item), differs(item))
    assert verdict(made) == (State.FAILED, Reason.DRIFTED)
    assert made.detail == "1 drifted: file:/etc/motd differs in sha256, size"
    (row,) = made.facts["drifted"]
    assert (row["item"], row["state"], row["wanted"], row["found"]) == ("file:/etc/motd", "differs", WANTED, FOUND)
    assert (row["note"], row["correct"]) == ("reported only", "never")


def test_no_content_of_a_file_is_in_a_plan_and_the_step_has_it():
    item = motd(content=b"s3cret")
    declared = task(item)
    made = plan(declared, differs(item))
    assert "s3cret" not in repr(made)
    (step,) = actions.steps(declared, settings(revert_seconds=33), made.changes)
    assert (step.op, step.args) == ("drift.correct", {"revert_seconds": 33, "keep_days": 30, "content": "czNjcmV0"})
    assert step.changes == made.changes
    assert step.id.startswith(STEP), "by which the store knows corrections"


def test_what_cannot_be_read_is_unknown_and_what_does_not_apply_is_neither():
    one, two = motd(), motd(name="/etc/issue")
    unreadable = differs(one, {}, "unreadable", (), error="Permission denied")
    made = plan(task(one, two), unreadable)
    assert verdict(made) == (State.UNKNOWN, Reason.UNREADABLE)
    assert made.facts["unreadable"][0]["error"] == "Permission denied"
    made = plan(task(one, two), differs(two, {}, "not_applicable", ()))
    assert verdict(made) == (State.NOTHING, Reason.AS_DECLARED)
    assert made.detail == "2 items; 1 not applicable"
    assert verdict(plan(task(one), differs(one, {}, "not_applicable", ()))) == (State.NOTHING, Reason.NOT_APPLICABLE)
    assert made.facts["not_applicable"] == [two.id]


def test_what_has_no_row_is_named_all_the_same():
    items = [motd(name=f"/etc/{number:03}", correct=Correct.NEVER) for number in range(102)]
    made = plan(task(*items), *[differs(one) for one in items])
    assert len(made.facts["drifted"]) == 100
    assert made.facts["beyond"] == [
        {"item": one.id, "as": "drifted", "state": "differs", "explained": {"by": ""}} for one in items[100:]
    ]


def test_a_correction_beside_what_is_only_reported_stays_a_failure():
    one, two, three = motd(), motd(name="/etc/issue", correct=Correct.NEVER), motd(name="/etc/x")
    made = plan(task(one, two), differs(one), differs(two))
    assert (made.state, made.facts["verdict_state"], made.facts["verdict_reason"]) == (
        State.PLANNED,
        "failed",
        "drifted",
    )
    made = plan(task(one, three), differs(one), differs(three, {}, "unreadable", ()))
    assert (made.state, made.facts["verdict_state"]) == (State.PLANNED, "unknown")
    alone = plan(task(one), differs(one)).facts
    assert "verdict_state" not in alone
    assert alone["failed_if_left_alone"] == "drifted", "by the host, as an immutable file is"


@pytest.mark.parametrize(
    ("more", "note"), [({"approval": Autonomy.OBSERVE}, "autonomy is `observe`"), ({}, "only root can correct it")]
)
def test_who_only_looks_reports_the_drift(more, note):
    item = motd()
    made = plan(task(item, **more), differs(item), uid=0 if more else 1000)
    assert verdict(made) == (State.FAILED, Reason.DRIFTED)
    assert made.facts["drifted"][0]["note"] == note


@pytest.mark.parametrize(("matches", "other"), [(0, False), (2, False), (0, True)])
def test_an_answer_about_other_items_than_those_declared_is_refused(matches, other):
    item = motd()
    findings = [differs(motd(name="/etc/passwd"))] if other else []
    with pytest.raises(ValueError, match="items were asked for"):
        plan(task(item), *findings, matches=matches)


def test_a_probe_that_could_not_look_says_so():
    made = plan(task(motd()), result=ProbeResult(State.UNKNOWN, Reason.TIMEOUT, "dpkg-query did not end"))
    assert (made.state, made.reason, made.detail) == (State.UNKNOWN, Reason.TIMEOUT, "dpkg-query did not end")


def test_an_allowance_holds_until_its_time_and_for_its_item_alone():
    item = motd()
    until = Allowance(item.id, NOW + timedelta(minutes=1), "ann", "INC-7")
    assert explained(item, differs(item), allowances=(until,)) == "allowance"
    for other in (replace(until, until=NOW), replace(until, item="file:/etc/issue")):
        assert explained(item, differs(item), allowances=(other,)) == ""


def test_a_clock_that_is_ahead_ends_no_allowance():
    item = motd()
    until = Allowance(item.id, NOW + timedelta(minutes=1), "ann", "INC-7")
    made = plan(task(item, allowances=(until,)), differs(item), offset=3600.0)
    assert verdict(made) == (State.NOTHING, Reason.EXPLAINED)


def test_what_came_with_a_package_is_shown_and_not_corrected():
    item = motd()
    by = {"by": "package", "package": "base-files", "version": "12.4", "at": 0}
    assert explained(item, differs(item, explained=by)) == "package"


def test_the_trash_explains_only_what_is_not_there():
    item = motd()
    by = {"by": "trash", "item": "t1", "at": 0}
    assert explained(item, differs(item, {}, "missing", (), explained=by)) == "trash"
    assert explained(item, differs(item, explained=by)) == "", "a replaced version lies there after each correction"


@pytest.mark.parametrize(
    ("action", "name", "path"),
    [
        (Action.COMPRESS_FILE, "/etc/motd", "/etc/motd"),
        (Action.RESTORE_FILE, "/etc/motd", "/etc/motd"),
        (Action.RENEW_CERTIFICATE, "example.org", "/etc/letsencrypt/live/example.org/fullchain.pem"),
    ],
)
def test_a_change_of_ours_explains_what_nobody_wrote_since(action, name, path):
    item = motd(name=path)
    own = OwnChange(action.value, name, NOW - timedelta(hours=1), "r1")
    before, after = (NOW - timedelta(hours=1)).timestamp(), NOW.timestamp()
    assert explained(item, differs(item, writers={"at": before}), own=(own,)) == "own"
    assert explained(item, differs(item), own=(own,)) == "own"
    assert explained(item, differs(item, writers={"at": after}), own=(own,)) == ""


@pytest.mark.parametrize(
    ("seconds", "action", "by"),
    [
        (500, "rotate_log", "own"),
        (700, "rotate_log", ""),
        (50, "restore_file", "own"),
        (70, "restore_file", ""),
    ],
)
def test_who_writes_after_a_change_of_ours_is_not_us_whatever_the_clock_of_the_host(seconds, action, by):
    item, own = motd(), OwnChange(action, "/etc/motd", NOW, "r1")
    for ahead in (0.0, 3600.0, -3600.0):
        found = differs(item, writers={"at": NOW.timestamp() + ahead + seconds})
        made = plan(task(item, own=(own,)), found, offset=ahead)
        assert [row["explained"]["by"] for row in made.facts["explained"]] == [by] * bool(by)


def test_an_upgrade_of_ours_explains_its_package_and_a_correction_explains_nothing():
    package = Item(ItemKind.PACKAGE, "nginx", {"version": "1.22*"})
    upgrade = OwnChange("upgrade_package", "nginx=1.24", NOW, "r1")
    found = differs(package, {"version": "1.24"}, keys=["version"])
    assert explained(package, found, own=(upgrade,)) == "own"
    assert explained(package, found, own=(replace(upgrade, name="nginx-common=1.24"),)) == ""


@pytest.mark.parametrize(
    ("wanted", "state", "key"),
    [({"state": "absent"}, "unexpected", "state"), ({"state": "installed", "held": True}, "differs", "held")],
)
def test_an_upgrade_of_ours_explains_neither_that_a_package_is_there_nor_that_no_hold_is(wanted, state, key):
    package = Item(ItemKind.PACKAGE, "nginx", wanted)
    upgrade = OwnChange("upgrade_package", "nginx=1.24", NOW, "r1")
    assert explained(package, differs(package, {}, state, (key,)), own=(upgrade,)) == ""


@pytest.mark.parametrize("name", ["/etc/motd", "/var/spool/cron/crontabs/ann"])
def test_a_restore_of_ours_does_not_explain_that_the_file_is_gone_again(name):
    item = motd(name=name) if name == "/etc/motd" else Item(ItemKind.CRONTAB, "ann", WANTED)
    own = OwnChange(Action.RESTORE_FILE.value, name, NOW - timedelta(days=60), "r1")
    there = {"identity": {"path": name}, "writers": {"at": None}}
    assert explained(item, differs(item, {}, "missing", ("state",), **there), own=(own,)) == ""
    assert explained(item, differs(item, **there), own=(own,)) == "own"
    item = motd()
    own = OwnChange("correct_file", item.id, NOW, "r1")
    assert explained(item, differs(item), own=(own,)) == ""


def test_what_a_host_says_is_cut_to_a_size():
    item = motd(correct=Correct.NEVER)
    huge = differs(item, {"sha256": "x" * 10_000}, diff=["+" * 5000] * 5000, writers={"processes": ["p"] * 9999})
    (row,) = plan(task(item), huge).facts["drifted"]
    assert len(repr(row)) < 150_000
    assert row["found"]["sha256"].endswith("…")
