"""Who puts another value back is not fought, and what went wrong is not tried again."""

from dataclasses import replace
from datetime import timedelta

import pytest

from maintenancebot.model import Reason, State
from maintenancebot.settings import (
    Correct,
    Item,
    ItemKind,
    OwnChange,
)
from tests.unit.plan.declaring import (
    FOUND,
    NOW,
    WANTED,
    corrected,
    differs,
    explained,
    motd,
    plan,
    settings,
    task,
    verdict,
)


@pytest.mark.parametrize("kind", [ItemKind.KEYS, ItemKind.CRONTAB])
def test_a_restored_file_of_a_user_is_explained_and_not_contested(kind):
    item = Item(kind, "ann", {**WANTED, "keys": ["k"]}, Correct.SAFE, b"abc")
    found = replace(differs(item), data={**differs(item).data, "identity": {"path": "/home/ann/k"}})
    (change,) = plan(task(item), found).changes
    earlier, restored = (corrected(change, 2),), OwnChange("restore_file", "/home/ann/k", NOW, "r1")
    assert plan(task(item, corrections=earlier), found).reason is Reason.CONTESTED
    assert explained(item, found, own=(restored,), corrections=earlier) == "own"
    for other in (replace(restored, name="/home/bob/k"), replace(restored, action="compress_file")):
        assert explained(item, found, own=(other,), corrections=earlier) == ""


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
    rewritten = differs(item, {**FOUND, "sha256": "be"})
    assert plan(task(item, corrections=earlier), rewritten).changes == (), "who writes ever new values is not fought"
    other = replace(item, wanted={**WANTED, "sha256": "cc"})
    assert plan(task(other, corrections=earlier), differs(other)).changes
