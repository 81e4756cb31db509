"""Files that are due become changes with their whole identity, each once, and what stays is told."""

from typing import Any

import pytest

from maintenancebot.model import Action, Finding, Host, HostFacts, Json, Reason, State, Undo
from maintenancebot.plan import logs
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Settings

HOST = Host("web-1", "192.0.2.1")
FACTS = HostFacts("m1", "b1", "web-1", "debian", "12", "6.1", "3.11.2", 0, 0.0, 0.0)
SETTINGS = Settings.model_validate(
    {"tasks": [{"name": "logs", "type": "cleanup", "patterns": [{"path": "/var/log/**/*.log", "retention_days": 30}]}]}
)


def candidate(path: str, *, compress: bool = False, ino: int = 1, **more: Json) -> Finding:
    numbers = {"dev": 1, "ino": ino, "size": 10, "mtime_ns": 2, "ctime_ns": 3, "mode": 33184, "uid": 0, "gid": 4}
    identity = {"path": path, "root": "/var/log", **numbers}
    data = {"identity": identity, "compress": compress, "allocated": 4096, "pattern": "p", **more}
    return Finding("logs", "candidate", path, data)


def plan(*findings: Finding, state: State = State.DONE, reason: Reason = Reason.NONE, **facts: Any) -> TaskPlan:
    result = ProbeResult(state, reason, "", findings, facts)
    return logs.plan(HOST, SETTINGS.tasks[0], SETTINGS, FACTS, result)


def test_each_file_is_quarantined_or_compressed_and_can_be_undone() -> None:
    made = plan(candidate("/var/log/a.log"), candidate("/var/log/b.log", compress=True, ino=2), matched=2)
    assert (made.state, made.reason) == (State.PLANNED, Reason.NONE)
    assert [(change.name, change.action, change.undo) for change in made.changes] == [
        ("/var/log/a.log", Action.QUARANTINE_FILE, Undo.TRASH),
        ("/var/log/b.log", Action.COMPRESS_FILE, Undo.TRASH),
    ]
    assert made.changes[0].effect == {"freed_now": 0, "freed_at_purge": 4096}
    assert set(made.changes[0].object) == set(logs.IDENTITY)
    assert made.facts["bytes"] == 8192


def test_a_file_is_planned_once() -> None:
    made = plan(candidate("/var/log/a.log"), candidate("/var/log/a.log", compress=True), matched=1)
    assert [change.action for change in made.changes] == [Action.QUARANTINE_FILE]


def test_the_same_object_has_the_same_id_and_another_one_has_not() -> None:
    first, again, other = (plan(candidate("/var/log/a.log", ino=ino)).changes[0].id for ino in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        ({"matched": 0}, State.NOTHING, Reason.NO_MATCH),
        ({"matched": 5, "kept": {"too_young": 5}}, State.NOTHING, Reason.UP_TO_DATE),
        ({"matched": 0, "patterns": [{"path": "/x", "reason": "missing"}]}, State.NOTHING, Reason.NO_MATCH),
        ({"matched": 0, "patterns": [{"path": "/x", "reason": "symlink"}]}, State.UNKNOWN, Reason.SYMLINK),
        ({"matched": 0, "patterns": [{"path": "/x", "reason": "odd"}]}, State.UNKNOWN, Reason.HELPER_ERROR),
    ],
)
def test_without_files_it_says_why(facts: dict[str, Json], state: State, reason: Reason) -> None:
    made = plan(**facts)
    assert (made.state, made.reason, made.changes) == (state, reason, ())


def test_what_stays_is_told_with_counts() -> None:
    made = plan(candidate("/var/log/a.log"), matched=8, kept={"too_young": 2, "in_use": 5})
    assert made.detail == "8 matched; 5 in_use, 2 too_young stay"


@pytest.mark.parametrize("state", [State.SKIPPED, State.UNKNOWN])
def test_a_probe_that_could_not_look_plans_nothing(state: State) -> None:
    made = plan(candidate("/var/log/a.log"), state=state, reason=Reason.NEEDS_ROOT)
    assert (made.state, made.reason, made.changes) == (state, Reason.NEEDS_ROOT, ())
