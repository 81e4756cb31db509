"""A plan is what it was when it was sealed, or it is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from maintenancebot.errors import PlanError
from maintenancebot.model import Action, Reason, State, TaskType, Undo
from maintenancebot.plan.document import (
    HostPlan,
    Plan,
    TaskPlan,
    check_usable,
    digest_of,
    make_change,
    plan_from_json,
    plan_to_json,
)

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


def sample() -> Plan:
    identity = {"path": "/var/log/a\udcff.log", "ino": 7, "size": 4096}
    change = make_change("web-1", "log_rotation", Action.COMPRESS_FILE, name="a", identity=identity, undo=Undo.TRASH)
    task = TaskPlan("log_rotation", TaskType.CLEANUP, State.PLANNED, changes=(change,))
    host = HostPlan("web-1", "m1", "b1", NOW, 0.1, (task,))
    return Plan("r1", NOW, NOW + timedelta(hours=24), "cfg", (host,)).sealed()


def through_json(plan: Plan) -> Any:
    return json.loads(json.dumps(plan_to_json(plan)))


def test_a_plan_comes_back_from_its_file_as_it_was() -> None:
    assert plan_from_json(through_json(sample())) == sample()


def test_the_digest_does_not_depend_on_itself_and_names_every_object() -> None:
    plan = sample()
    assert digest_of(plan) == plan.digest
    edited = through_json(plan)
    edited["hosts"][0]["tasks"][0]["changes"][0]["object"]["ino"] = 8
    with pytest.raises(PlanError) as caught:
        plan_from_json(edited)
    assert caught.value.reason is Reason.PLAN_CHANGED


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, (*path, key))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [path]


@pytest.mark.parametrize("path", leaves(through_json(sample())), ids=str)
@pytest.mark.parametrize("value", ["x", 5, None, {}, ["/etc/passwd"]])
def test_any_edited_value_is_refused(path: tuple[Any, ...], value: Any) -> None:
    document = through_json(sample())
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(PlanError):
        plan_from_json(document)


def test_a_key_added_by_hand_is_refused() -> None:
    document = through_json(sample())
    document["hosts"][0]["extra"] = 1
    with pytest.raises(PlanError, match="its digest does not fit"):
        plan_from_json(document)


@pytest.mark.parametrize("document", [None, [], {}, {"kind": "maintenancebot-plan", "schema": 2}, "plan"])
def test_what_is_no_plan_is_refused(document: Any) -> None:
    with pytest.raises(PlanError, match="make"):
        plan_from_json(document)


def test_an_expired_plan_a_future_one_and_one_of_another_configuration_are_refused() -> None:
    plan = sample()
    check_usable(plan, NOW, "cfg")
    with pytest.raises(PlanError, match=r"the plan expired at 2026-11-22 03:00 UTC; make the plan anew"):
        check_usable(plan, NOW + timedelta(hours=24), "cfg")
    with pytest.raises(PlanError, match="made in the future"):
        check_usable(plan, NOW - timedelta(seconds=1), "cfg")
    with pytest.raises(PlanError, match="the configuration changed"):
        check_usable(plan, NOW, "other")


def test_the_same_object_has_the_same_id_in_every_plan_and_another_one_another() -> None:
    def one(**identity: Any) -> str:
        return make_change("h", "t", Action.QUARANTINE_FILE, name="n", identity=identity, undo=Undo.TRASH).id

    assert one(path="/a", ino=1) == one(ino=1, path="/a")
    assert one(path="/a", ino=1) != one(path="/a", ino=2)
