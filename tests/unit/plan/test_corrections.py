"""Which differences are corrected, by which change, and what could lock everybody out."""

from dataclasses import replace

import pytest

from maintenancebot.model import Action, Reason, Risk, State, Undo
from maintenancebot.plan.corrections import LOCKOUT_NOTE
from maintenancebot.plan.lockout import can_lock_out
from maintenancebot.settings import (
    Correct,
    Item,
    ItemKind,
)
from tests.unit.plan.declaring import (
    FOUND,
    HOST,
    WANTED,
    differs,
    motd,
    plan,
    task,
    verdict,
)


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


def test_a_missing_file_is_put_there_and_an_unwanted_one_goes():
    item = motd()
    (change,) = plan(task(item), differs(item, {}, "missing", ())).changes
    assert change.undo is Undo.SET_BACK
    absent = motd(wanted={"state": "absent"}, content=None)
    there = differs(absent, {"state": "present"}, "unexpected", ("state",))
    (change,) = plan(task(absent), there).changes
    assert change.undo is Undo.TRASH
    made = plan(task(absent), replace(there, data={**there.data, "error": "is a link that leads to /x"}))
    assert made.changes == ()
    assert made.facts["drifted"][0]["note"] == "only a plain file is moved away"


@pytest.mark.parametrize(
    ("item", "identity", "undo"),
    [
        (Item(ItemKind.KEYS, "ann", {"keys": ["k"]}, Correct.SAFE), {"path": "/k", "ino": 5}, Undo.TRASH),
        (Item(ItemKind.KEYS, "ann", {"keys": ["k"]}, Correct.SAFE), {"path": "/k"}, Undo.SET_BACK),
        (Item(ItemKind.CRONTAB, "ann", WANTED, Correct.SAFE, b"abc"), {"path": "/c", "ino": 5}, Undo.TRASH),
    ],
)
def test_a_replaced_file_of_a_user_lies_in_the_trash_too(item, identity, undo):
    found = replace(differs(item), data={**differs(item).data, "identity": identity})
    assert plan(task(item), found).changes[0].undo is undo


@pytest.mark.parametrize(
    ("wanted", "corrected"),
    [({"enabled": True, "active": True}, False), ({"active": True}, False), ({"masked": True}, True)],
)
def test_a_unit_that_is_not_there_cannot_be_switched_on(wanted, corrected):
    item = Item(ItemKind.SERVICE, "cron.service", wanted, Correct.SAFE)
    made = plan(task(item), differs(item, dict.fromkeys(wanted, False), "missing", tuple(wanted)))
    assert bool(made.changes) is corrected
    assert corrected or made.facts["drifted"][0]["note"] == "nothing to switch on"


@pytest.mark.parametrize(
    "item",
    [
        motd(name="/etc/ssh/sshd_config"),
        Item(ItemKind.SYSCTL, "net.ipv4.ip_forward", {"value": "1"}, Correct.SAFE),
        Item(ItemKind.KEYS, "bot", {"keys": ["k"]}, Correct.SAFE),
    ],
)
def test_where_no_login_can_be_tried_nothing_is_planned_that_could_lock_everybody_out(item):
    assert plan(task(item), differs(item)).changes
    made = plan(task(item), differs(item), at=replace(HOST, connection="local"))
    assert verdict(made) == (State.FAILED, Reason.DRIFTED)
    assert made.facts["drifted"][0]["note"] == "it could lock everybody out, and no login can be tried here"
    assert plan(task(motd()), differs(motd()), at=replace(HOST, connection="local")).changes


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
    bare = motd(content=None, wanted={"state": "present", "mode": "0644"})
    made = plan(task(bare), differs(bare, {"state": "absent"}, "missing", ["state"]))
    assert made.facts["drifted"][0]["note"] == "the baseline has no content"


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


@pytest.mark.parametrize(
    "item",
    [
        Item(ItemKind.FILE, "/etc/ssh/sshd_config", {}),
        Item(ItemKind.FILE, "/etc/ssh/sshd_config.d/10-x.conf", {}),
        Item(ItemKind.FILE, "/etc/sudoers.d/bot", {}),
        Item(ItemKind.FILE, "/etc/sudo.conf", {}),
        Item(ItemKind.FILE, "/etc/authselect/custom/ours/system-auth", {}),
        Item(ItemKind.FILE, "/etc/crypto-policies/config", {}),
        Item(ItemKind.FILE, "/etc/shorewall/rules", {}),
        Item(ItemKind.SERVICE, "shorewall.service", {}),
        Item(ItemKind.SERVICE, "ifup@eth0.service", {}),
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


@pytest.mark.parametrize(
    ("path", "lockout"),
    [
        ("/etc/ssh/authorized_keys", True),
        ("/etc/ssh/authorized_keys.d/ann", False),
        ("/srv/sftp/a/.ssh/authorized_keys", False),
        ("/home/ann/.ssh/authorized_keys", False),
    ],
)
def test_the_keys_of_all_in_one_file_can_lock_everybody_out_whoever_is_named(path, lockout):
    item = Item(ItemKind.KEYS, "ann", {"keys": ["k"], "exclusive": True}, Correct.SAFE)
    (change,) = plan(task(item), differs(item, identity={"path": path, "ino": 7})).changes
    assert change.object["lockout"] is lockout
