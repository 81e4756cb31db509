"""A plan file is taken as it is, or refused with the reason, the file and what to do."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.engine import planned
from maintenancebot.errors import PlanError
from maintenancebot.model import Action, Reason, State, TaskType, Undo
from maintenancebot.plan.document import HostPlan, Plan, TaskPlan, canonical, change_id, make_change, plan_to_json
from maintenancebot.settings import Settings

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TASK = {"name": "logs", "type": "cleanup", "patterns": [{"path": "/var/log/app/*.log", "retention_days": 30}]}
SETTINGS = Settings.model_validate({"tasks": [TASK]})
EDITED = "the plan was changed after it was made: its digest does not fit; make the plan anew"


def plan(**changed: Any) -> Plan:
    identity = {"path": "/var/log/app/\udcff.log", "ino": 7}
    change = make_change("web-1", "logs", Action.QUARANTINE_FILE, name="x", identity=identity, undo=Undo.TRASH)
    task = TaskPlan(
        changed.pop("task", "logs"), changed.pop("type", TaskType.CLEANUP), State.PLANNED, changes=(change,)
    )
    made = {
        "run_id": "run",
        "created_at": NOW - timedelta(hours=1),
        "expires_at": NOW + timedelta(hours=23),
        "configuration": SETTINGS.digest,
        "hosts": (HostPlan("web-1", "m" * 32, "b", NOW, 0.0, (task,)),),
        **changed,
    }
    return Plan(**made).sealed()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


def resealed(document: dict[str, Any]) -> dict[str, Any]:
    """The document with a digest that fits: what somebody could make who knows how."""
    content = {key: value for key, value in document.items() if key != "digest"}
    return {**content, "digest": hashlib.sha256(canonical(content)).hexdigest()}


def refusal(path: Path, *, now: datetime = NOW) -> tuple[Reason, str]:
    with pytest.raises(PlanError) as caught:
        planned.from_plan_file(path, SETTINGS, now)
    return caught.value.reason, str(caught.value)


def test_a_plan_comes_back_as_it_was(path: Path) -> None:
    path.write_text(json.dumps(plan_to_json(plan())))
    assert planned.from_plan_file(path, SETTINGS, NOW) == plan()


@pytest.mark.parametrize(
    ("made", "now", "reason", "words"),
    [
        (
            plan(),
            NOW + timedelta(hours=23),
            Reason.PLAN_EXPIRED,
            "the plan expired at 2026-11-22 11:00 UTC; make the plan anew",
        ),
        (
            plan(),
            NOW - timedelta(hours=2),
            Reason.PLAN_CHANGED,
            "the plan was made in the future; check this machine's clock",
        ),
        (
            plan(configuration="0" * 64),
            NOW,
            Reason.PLAN_CHANGED,
            "the configuration changed after the plan was made; make the plan anew",
        ),
        (plan(type=TaskType.VERIFY), NOW, Reason.PLAN_CHANGED, "the configuration has no task 'logs' of this type"),
    ],
    ids=["expired", "from the future", "another configuration", "another type"],
)
def test_a_plan_that_does_not_fit_is_refused(made: Plan, now: datetime, reason: Reason, words: str, path: Path) -> None:
    path.write_text(json.dumps(plan_to_json(made)))
    assert refusal(path, now=now) == (reason, f"{path}: {words}")


def test_a_plan_is_good_until_the_second_of_its_expiry(path: Path) -> None:
    path.write_text(json.dumps(plan_to_json(plan())))
    assert planned.from_plan_file(path, SETTINGS, NOW + timedelta(hours=23) - timedelta(seconds=1)) == plan()


Edit = Callable[[dict[str, Any]], object]
OTHER_OBJECT = "the id of 'x' does not fit its object"


def damaged(error: Exception) -> str:
    return f"the plan is damaged ({error!r}); make the plan anew"


def change_of(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["hosts"][0]["tasks"][0]["changes"][0]
    return found


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["hosts"][0].update(machine_id="e" * 32),
        lambda d: d.update(expires_at="2030-01-01T00:00:00+00:00"),
        lambda d: d["hosts"][0]["tasks"][0].update(detail="more"),
        lambda d: d["hosts"].clear(),
        lambda d: d.update(note="a key that nobody knows"),
        lambda d: d["hosts"][0].update(note="a key that nobody knows"),
        lambda d: d.update(digest=""),
    ],
    ids=["machine", "expiry", "detail", "no hosts", "key", "key of a host", "no digest"],
)
def test_a_plan_that_was_edited_is_refused(edit: Edit, path: Path) -> None:
    document = plan_to_json(plan())
    edit(document)
    path.write_text(json.dumps(document))
    assert refusal(path) == (Reason.PLAN_CHANGED, f"{path}: {EDITED}")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda d: d.update(schema=2), "plan format 2 is not 1; make the plan anew"),
        (lambda d: d.update(kind="report"), "this is not a plan; make one with `maintenancebot dry-run --out FILE`"),
        (lambda d: d.pop("hosts"), damaged(KeyError("hosts"))),
        (lambda d: d.update(run_id=7), damaged(TypeError("7 is not text"))),
        (
            lambda d: d.update(created_at="2026-11-21T11:00:00"),
            damaged(ValueError("'2026-11-21T11:00:00' has no time zone")),
        ),
        (lambda d: change_of(d)["object"].update(path="/etc/passwd"), damaged(ValueError(OTHER_OBJECT))),
        (lambda d: change_of(d).update(action="run"), damaged(ValueError("'run' is not a valid Action"))),
        (lambda d: d["hosts"][0].update(host="web-2"), damaged(ValueError(OTHER_OBJECT))),
        (lambda d: d["hosts"].append(None), damaged(TypeError("'NoneType' object is not subscriptable"))),
        (lambda d: d.update(note="x"), EDITED),
    ],
    ids=[
        "schema",
        "kind",
        "no hosts",
        "kind of run id",
        "no time zone",
        "another object",
        "no such action",
        "another host",
        "no host",
        "key",
    ],
)
def test_a_plan_with_a_digest_that_fits_is_still_looked_through(edit: Edit, words: str, path: Path) -> None:
    document = plan_to_json(plan())
    edit(document)
    path.write_text(json.dumps(resealed(document)))
    assert refusal(path) == (Reason.PLAN_CHANGED, f"{path}: {words}")


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["hosts"][0].update(clock_offset="none"),
        lambda d: d["hosts"].append(d["hosts"][0]),
        lambda d: d["hosts"][0]["tasks"][0]["changes"].append(d["hosts"][0]["tasks"][0]["changes"][0]),
        lambda d: d["hosts"][0]["tasks"][0]["changes"][0].update(task="other"),
    ],
    ids=["clock", "a host twice", "a change twice", "a change of another task"],
)
def test_a_plan_that_no_dry_run_makes_is_refused(edit: Edit, path: Path) -> None:
    document = plan_to_json(plan())
    edit(document)
    for change in document["hosts"][0]["tasks"][0]["changes"]:
        change["id"] = change_id("web-1", change["task"], Action(change["action"]), change["object"])
    path.write_text(json.dumps(resealed(document)))
    assert refusal(path)[0] is Reason.PLAN_CHANGED


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a plan (Expecting value: line 1 column 1 (char 0)); make the plan anew"),
        (b"not json", "not a plan (Expecting value: line 1 column 1 (char 0)); make the plan anew"),
        (b"[1]", "this is not a plan; make one with `maintenancebot dry-run --out FILE`"),
        (b"{}", "this is not a plan; make one with `maintenancebot dry-run --out FILE`"),
        (b"null", "this is not a plan; make one with `maintenancebot dry-run --out FILE`"),
        (
            b"\xff",
            "not a plan ('utf-8' codec can't decode byte 0xff in position 0: invalid start byte); make the plan anew",
        ),
    ],
    ids=["empty", "text", "list", "mapping", "null", "no text"],
)
def test_what_is_no_plan_is_refused(content: bytes, words: str, path: Path) -> None:
    path.write_bytes(content)
    assert refusal(path) == (Reason.PLAN_CHANGED, f"{path}: {words}")


def test_nesting_without_end_is_refused(path: Path) -> None:
    path.write_text("[" * 200_000)
    reason, words = refusal(path)
    assert reason is Reason.PLAN_CHANGED
    assert words.startswith(f"{path}: not a plan (maximum recursion depth exceeded")


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, os.mkfifo], ids=["nothing", "folder", "pipe"])
def test_what_is_no_file_is_refused_and_not_waited_for(make: Callable[[Path], object], path: Path) -> None:
    make(path)
    words = "not a file; make one with `dry-run --out`"
    assert refusal(path) == (Reason.PLAN_CHANGED, f"{path}: {words}")


def test_a_file_without_end_is_not_read(path: Path) -> None:
    path.touch()
    os.truncate(path, planned.SIZE_CAP + 1)
    assert refusal(path) == (Reason.PLAN_CHANGED, f"{path}: too large for a plan")
