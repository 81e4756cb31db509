"""What is declared and what was found: what explains it, what is corrected, and where a fight is not taken up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from maintenancebot.actions import drift as actions
from maintenancebot.model import Action, Autonomy, Finding, Host, HostFacts, Reason, Risk, State, Undo
from maintenancebot.plan import drift
from maintenancebot.plan.corrections import LOCKOUT_NOTE
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.plan.lockout import can_lock_out
from maintenancebot.settings import (
    Allowance,
    Correct,
    Correction,
    DriftTask,
    Item,
    ItemKind,
    OwnChange,
    Settings,
)
from maintenancebot.store.corrections import STEP

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOST = Host("web-1", "192.0.2.1", user="bot")
LOGS = {"name": "logs", "type": "cleanup", "patterns": [{"path": "/var/log/**/*.log", "retention_days": 30}]}
WANTED = {"state": "present", "sha256": "aa", "size": 3, "mode": "0644"}
FOUND = {"state": "present", "sha256": "bb", "size": 4, "mode": "0644"}


def settings(**healing):
    return Settings.model_validate({"tasks": [LOGS], "remediation": {"drift": healing}})


def motd(**more):
    more = {"correct": Correct.SAFE, "content": b"abc", **more}
    return Item(ItemKind.FILE, more.pop("name", "/etc/motd"), more.pop("wanted", WANTED), **more)


def differs(item, found=FOUND, state="differs", keys=("sha256", "size"), **more):
    data = {"state": state, "found": found, "differs": list(keys), "identity": {"inode": 7}, **more}
    return Finding("task:drift", "item", item.id, data)


def task(*items, **more):
    return DriftTask(items, more.pop("approval", Autonomy.AUTO), **more)


def plan(declared, *findings, uid=0, offset=0.0, rules=None, result=None, matches=None, now=NOW):
    host = HostFacts("m", "b", "web-1", "debian", "12", "6.1", "3.11.2", uid, now.timestamp() + offset, offset)
    count = len(declared.items) - len(findings) if matches is None else matches
    facts = {"items": len(declared.items), "matches": count}
    given = replace(result or ProbeResult(State.DONE), findings=findings, facts=facts)
    return drift.plan(HOST, declared, rules or settings(), host, given)


def verdict(made):
    return made.state, made.reason


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


def test_what_may_be_corrected_is_a_change_with_all_that_must_still_hold():
    item = motd(correct=Correct.APPROVAL, reload="app.service")
    made = plan(task(item), differs(item))
    assert verdict(made) == (State.PLANNED, Reason.NONE)
    (change,) = made.changes
    assert (change.action, change.name, change.undo, change.risk) == (
        Action.CORRECT_FILE,
        "file:/etc/motd",
        Undo.TRASH,
        Risk.MEDIUM,
    )
    assert change.object == {
        "item": "file:/etc/motd",
        "kind": "file",
        "name": "/etc/motd",
        "wanted": WANTED,
        "found": FOUND,
        "identity": {"inode": 7},
        "correct": "approval",
        "reload": "app.service",
        "lockout": False,
    }
    assert made.facts["drifted"] == []
    assert made.facts["corrected"][0]["item"] == "file:/etc/motd"


def test_no_content_of_a_file_is_in_a_plan_and_the_step_has_it():
    item = motd(content=b"s3cret")
    declared = task(item)
    made = plan(declared, differs(item))
    assert "s3cret" not in repr(made)
    (step,) = actions.steps(declared, settings(revert_seconds=33), made.changes)
    assert (step.op, step.args) == ("drift.correct", {"revert_seconds": 33, "keep_days": 30, "content": "czNjcmV0"})
    assert step.changes == made.changes
    assert step.id.startswith(STEP), "by which the store knows corrections"


def test_a_missing_file_is_put_there_and_an_unwanted_one_goes():
    item = motd()
    (change,) = plan(task(item), differs(item, {}, "missing", ())).changes
    assert change.undo is Undo.SET_BACK
    absent = motd(wanted={"state": "absent"}, content=None)
    (change,) = plan(task(absent), differs(absent, {"state": "present"}, "unexpected", ("state",))).changes
    assert change.undo is Undo.TRASH


@pytest.mark.parametrize("state", ["link", "special"])
def test_what_is_no_file_is_left_alone_whatever_is_allowed(state):
    item = motd()
    made = plan(task(item), differs(item, {}, state, ()))
    assert verdict(made) == (State.FAILED, Reason.DRIFTED)
    assert made.facts["drifted"][0]["note"] == "left alone"


def test_a_hash_without_content_is_reported_and_its_mode_corrected():
    item = motd(content=None)
    made = plan(task(item), differs(item))
    assert made.facts["drifted"][0]["note"] == "the baseline has a hash of it and no content"
    assert plan(task(item), differs(item, {**WANTED, "mode": "0666"}, keys=["mode"])).changes


def test_of_a_package_only_the_hold_is_corrected():
    item = Item(ItemKind.PACKAGE, "nginx", {"state": "installed", "version": "1.22*", "held": True}, Correct.SAFE)
    held = differs(item, {"held": False}, keys=["held"])
    (change,) = plan(task(item), held).changes
    assert change.action is Action.CORRECT_HOLD
    both = differs(item, {"held": False, "version": "1.18"}, keys=["held", "version"])
    assert verdict(plan(task(item), both)) == (State.FAILED, Reason.DRIFTED)


@pytest.mark.parametrize("kind", [ItemKind.USER, ItemKind.GROUP, ItemKind.MOUNT, ItemKind.KERNEL])
def test_other_kinds_are_never_corrected(kind):
    item = Item(kind, "x", {"state": "present"}, Correct.SAFE)
    made = plan(task(item), differs(item, {}, "missing", ()))
    assert made.facts["drifted"][0]["note"] == f"a {kind.value} is never corrected"


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
    assert "verdict_state" not in plan(task(one), differs(one)).facts


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


def explained(item, finding, **more):
    made = plan(task(item, **more), finding)
    return made.facts["explained"][0]["explained"]["by"] if verdict(made) == (State.NOTHING, Reason.EXPLAINED) else ""


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


def test_an_upgrade_of_ours_explains_its_package_and_a_correction_explains_nothing():
    package = Item(ItemKind.PACKAGE, "nginx", {"version": "1.22*"})
    upgrade = OwnChange("upgrade_package", "nginx=1.24", NOW, "r1")
    found = differs(package, {"version": "1.24"}, keys=["version"])
    assert explained(package, found, own=(upgrade,)) == "own"
    assert explained(package, found, own=(replace(upgrade, name="nginx-common=1.24"),)) == ""
    item = motd()
    own = OwnChange("correct_file", item.id, NOW, "r1")
    assert explained(item, differs(item), own=(own,)) == ""


def corrected(change, ago, *, held=True):
    """An earlier correction, some hours ago."""
    return Correction(change.name, NOW - timedelta(hours=ago), change.effect["from"], change.effect["to"], held)


def test_what_was_replaced_and_is_back_is_contested_and_not_corrected_again():
    item = motd()
    (change,) = plan(task(item), differs(item)).changes
    writers = {"package": "cloud-init", "processes": ["python3 (812)"], "logins": ["root pts/0"], "at": 5}
    made = plan(task(item, corrections=(corrected(change, 1),)), differs(item, writers=writers))
    assert verdict(made) == (State.FAILED, Reason.CONTESTED)
    assert made.changes == ()
    assert made.detail == (
        "1 contested: file:/etc/motd differs in sha256, size (what was replaced is back; package cloud-init; "
        "open in python3 (812); logged in then: root pts/0)"
    )
    (row,) = made.facts["contested"]
    assert (row["wanted"], row["found"]) == (WANTED, FOUND)
    assert row["corrections"] == [(NOW - timedelta(hours=1)).timestamp()]


def test_the_next_day_and_another_item_are_corrected():
    item = motd()
    (change,) = plan(task(item), differs(item)).changes
    of_other = replace(corrected(change, 1), item="file:/etc/issue")
    made = plan(task(item, corrections=(corrected(change, 24.01), of_other)), differs(item))
    assert made.changes == (change,)


def test_one_value_that_is_back_is_enough():
    item = motd()
    before = {**FOUND, "mode": "0666"}
    (change,) = plan(task(item), differs(item, before, keys=("sha256", "mode"))).changes
    declared = task(item, corrections=(corrected(change, 1),))
    made = plan(declared, differs(item, {**WANTED, "mode": "0666"}, keys=["mode"]))
    assert made.reason is Reason.CONTESTED


def test_ever_new_values_are_corrected_as_often_as_the_configuration_says():
    item = motd()
    earlier, made = [], []
    for number in range(4):
        found = {**FOUND, "sha256": f"b{number}"}
        declared = task(item, corrections=tuple(earlier))
        made.append(plan(declared, differs(item, found), rules=settings(corrections_per_day=3)))
        earlier += [corrected(change, 3 - number / 2) for change in made[-1].changes]
    assert [one.reason for one in made] == [Reason.NONE] * 3 + [Reason.CONTESTED]
    assert "corrected 3 times within 24 hours, and differs again" in made[-1].detail


def test_a_correction_that_went_wrong_is_not_tried_again_unless_the_declared_value_is_another():
    item = motd()
    (change,) = plan(task(item), differs(item)).changes
    earlier = (corrected(change, 1, held=False),)
    made = plan(task(item, corrections=earlier), differs(item))
    assert verdict(made) == (State.FAILED, Reason.DRIFTED)
    assert made.facts["drifted"][0]["note"] == (
        "its correction went wrong at 2026-11-21 11:00 UTC; not tried again within a day"
    )
    other = replace(item, wanted={**WANTED, "sha256": "cc"})
    assert plan(task(other, corrections=earlier), differs(other)).changes


@pytest.mark.parametrize(
    "item",
    [
        Item(ItemKind.FILE, "/etc/ssh/sshd_config", {}),
        Item(ItemKind.FILE, "/etc/ssh/sshd_config.d/10-x.conf", {}),
        Item(ItemKind.FILE, "/etc/sudoers.d/bot", {}),
        Item(ItemKind.FILE, "/etc/pam.d/sshd", {}),
        Item(ItemKind.FILE, "/etc/nftables.conf", {}),
        Item(ItemKind.FILE, "/etc/network/interfaces", {}),
        Item(ItemKind.FILE, "/home/bot/.ssh/authorized_keys", {}),
        Item(ItemKind.FILE, "/etc/systemd/system/ssh.service.d/override.conf", {}),
        Item(ItemKind.FILE, "/lib/systemd/system/networking.service", {}),
        Item(ItemKind.FILE, "/root/.bash_profile", {}),
        Item(ItemKind.FILE, "/opt/x.conf", {}, reload="ssh"),
        Item(ItemKind.SERVICE, "ssh.socket", {}),
        Item(ItemKind.SERVICE, "ufw", {}),
        Item(ItemKind.SYSCTL, "net.ipv4.ip_forward", {}),
        Item(ItemKind.KEYS, "bot", {}),
        Item(ItemKind.KEYS, "root", {}),
    ],
    ids=lambda item: item.id,
)
def test_what_can_lock_everybody_out_is_known(item):
    assert can_lock_out(item, "bot")
    change = plan_of(item)
    assert (change.object["lockout"], change.risk, change.note) == (True, Risk.HIGH, LOCKOUT_NOTE)


def plan_of(item):
    reload = item.reload or ("app.service" if item.kind is ItemKind.FILE else "")
    item = replace(item, wanted={"state": "absent"}, correct=Correct.SAFE, reload=reload)
    (change,) = plan(task(item), differs(item, {}, "unexpected", ["state"])).changes
    return change


@pytest.mark.parametrize(
    "item",
    [
        Item(ItemKind.FILE, "/etc/motd", {}),
        Item(ItemKind.FILE, "/etc/nginx/nginx.conf", {}, reload="nginx"),
        Item(ItemKind.SERVICE, "nginx", {}),
        Item(ItemKind.SYSCTL, "vm.swappiness", {}),
        Item(ItemKind.KEYS, "ann", {}),
        Item(ItemKind.CRONTAB, "bot", {}),
        Item(ItemKind.PACKAGE, "openssh-server", {}),
    ],
    ids=lambda item: item.id,
)
def test_what_cannot_lock_out_needs_no_second_login(item):
    assert not can_lock_out(item, "bot")


def test_what_a_host_says_is_cut_to_a_size():
    item = motd(correct=Correct.NEVER)
    huge = differs(item, {"sha256": "x" * 10_000}, diff=["+" * 5000] * 5000, writers={"processes": ["p"] * 9999})
    (row,) = plan(task(item), huge).facts["drifted"]
    assert len(repr(row)) < 150_000
    assert row["found"]["sha256"].endswith("…")
