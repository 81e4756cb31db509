"""One look at a host: a plan from a whole answer, a reason from anything less."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest

from maintenancebot.engine import applying, probing
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.progress import Silent
from maintenancebot.engine.work import Work
from maintenancebot.model import Host, Outcome, Reason, State
from maintenancebot.plan.document import change_to_json
from maintenancebot.remote.local import LocalSession
from maintenancebot.store import Store
from tests.unit.engine.boxes import Box, apply_held, cleanup, clock, ledger_of, settings, verify, work
from tests.unit.engine.scripted import Frame, Scripted, ended, facts, finding

HOST = Host("web-9", "local", connection="local")


def look(*frames: Frame, unfinished: Any = ()) -> Looked:
    """Look at a host that answers with these frames."""
    return probing.look(HOST, settings().tasks, surroundings(Scripted(*frames)), unfinished=unfinished)


def surroundings(session: LocalSession) -> Work:
    return Work("run", settings(), lambda host: session, lambda: datetime.now(UTC), Silent(), Event())


def test_a_host_tells_who_it_is_and_what_is_due(box: Box) -> None:
    box.write("a.log", "b.log", "kept.txt")
    looked = probing.look(box.host, settings().tasks, work([box]))
    assert looked.plan is not None
    assert (looked.plan.machine_id, looked.plan.host) == (box.machine_id, "web-1")
    assert abs(looked.plan.clock_offset) < 5
    assert looked.plan.facts["root"] is True
    assert [change.name for change in looked.plan.changes] == ["/var/log/app/a.log", "/var/log/app/b.log"]
    assert box.names() == ["a.log", "b.log", "kept.txt"]


def test_a_task_that_fails_on_the_host_leaves_the_others_alone(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.write("a.log", "b.txt")
    rules = settings(cleanup("first"), verify("second"), cleanup("third", path="/var/log/app/*.txt"))
    monkeypatch.setattr("maintenancebot.probes.backups.request", lambda *a, **more: {"sources": "not a list"})
    looked = probing.look(box.host, rules.tasks, work([box], rules))
    assert looked.plan is not None
    first, second, third = looked.plan.tasks
    assert (first.state, third.state) == (State.PLANNED, State.PLANNED)
    assert (second.state, second.reason) == (State.UNKNOWN, Reason.HELPER_ERROR)
    assert "KeyError: 'max_age_hours' (mb_helper/backups/backups" in second.detail


def test_a_file_that_two_tasks_find_is_planned_by_the_first(box: Box) -> None:
    box.write("a.log")
    rules = settings(cleanup("first"), cleanup("second", compress=True))
    looked = probing.look(box.host, rules.tasks, work([box], rules))
    assert looked.plan is not None
    _, second = looked.plan.tasks
    assert ([change.task for change in looked.plan.changes], second.state) == (["first"], State.NOTHING)
    assert second.detail.endswith("1 planned by an earlier task")


def test_looking_takes_no_lock_that_keeps_another_look_out(box: Box) -> None:
    folder = os.open(box.base / "root", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_SH)
    try:
        assert probing.look(box.host, settings().tasks, work([box])).plan is not None
    finally:
        os.close(folder)


def test_a_host_that_another_piece_of_work_changes_is_busy(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "LOCK_WAIT_SECONDS", 0)
    folder = os.open(box.base / "root", os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        looked = probing.look(box.host, settings().tasks, work([box]))
    finally:
        os.close(folder)
    assert looked == Looked(box.host, reason=Reason.BUSY, detail="another piece of work holds this host's lock")


def test_a_host_without_a_connection_has_its_reason() -> None:
    looked = probing.look(HOST, settings().tasks, work([]))
    assert looked == Looked(HOST, reason=Reason.UNREACHABLE, detail="Connection refused")


def test_package_lists_are_renewed_on_the_remembered_machine_only(box: Box) -> None:
    looked = probing.look(box.host, settings().tasks, work([box]), refresh=True, machine_id="e" * 32)
    assert looked == Looked(box.host, reason=Reason.MACHINE_CHANGED, detail=f"machine-id is {box.machine_id}")


def test_looking_alone_asks_for_no_machine(box: Box) -> None:
    assert probing.look(box.host, settings().tasks, work([box]), machine_id="e" * 32).plan is not None


@pytest.mark.parametrize(
    "frames",
    [
        [facts()],
        [ended()],
        [facts(), ended("task:other")],
        [],
    ],
    ids=["no end of the task", "no facts", "another task", "nothing"],
)
def test_an_incomplete_answer_is_garbled(frames: list[Frame]) -> None:
    assert look(*frames) == Looked(HOST, reason=Reason.GARBLED, detail="the answer is incomplete")


SIZES = {"total": 9, "available": 5, "inodes": 2**64 - 1, "inodes_free": 2**64 - 1}
MOUNT = {"path": "/", "device": "8:1", "fs_type": "ext4", **SIZES}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (facts(uid="root"), "a facts frame is not as agreed: ValueError"),
        (facts(mounts=[{"path": "/"}]), "a facts frame is not as agreed: TypeError"),
        (facts(mounts=[{**MOUNT, "total": "9"}]), "a facts frame is not as agreed: TypeError"),
        (facts(mounts=[{**MOUNT, "fs_type": ["ext4"]}]), "a facts frame is not as agreed: TypeError"),
        (facts(mounts=[{**MOUNT, "available": 10**400}]), "a facts frame is not as agreed: ValueError"),
        (facts(uid=float("inf")), "a facts frame is not as agreed: OverflowError"),
        (facts(missing=None), "a facts frame is not as agreed: TypeError"),
        (ended(state="splendid"), "a task frame is not as agreed: KeyError('splendid')"),
        (("task", {"task": "task:logs"}), "a task frame is not as agreed: KeyError('state')"),
        (ended(facts=7), "a task frame is not as agreed: TypeError"),
        (("finding", {"task": "task:logs", "items": [7]}), "a finding frame is not as agreed: TypeError"),
        (("finding", {"items": []}), "a finding frame is not as agreed: KeyError('task')"),
        (finding(None), "a finding frame is not as agreed: TypeError"),
    ],
)
def test_a_frame_that_is_not_as_agreed_is_garbled_and_says_which(frame: Frame, words: str) -> None:
    looked = look(facts(), frame, ended())
    assert (looked.plan, looked.reason) == (None, Reason.GARBLED)
    assert looked.detail.startswith(words)


def test_a_kind_of_frame_that_is_not_known_is_passed_over() -> None:
    assert look(facts(), ("weather", {"sun": True}), ended()).plan is not None


def test_a_reason_that_is_not_known_is_a_fault_of_ours() -> None:
    looked = look(facts(), ended(state="unknown", reason="mood", detail="grey"))
    assert looked.plan is not None
    (task,) = looked.plan.tasks
    assert (task.state, task.reason, task.detail) == (State.UNKNOWN, Reason.HELPER_ERROR, "grey")


def test_the_clock_of_the_host_is_compared_with_ours() -> None:
    looked = probing.look(HOST, settings().tasks, surroundings(Scripted(facts(), ended(), ahead_seconds=3600)))
    assert looked.plan is not None
    assert abs(looked.plan.clock_offset - 3600) < 10


@pytest.mark.parametrize("identity", [{}, 7, None])
def test_a_finding_that_no_planner_can_read_is_garbled_for_its_task_alone(identity: Any) -> None:
    rules = settings(cleanup("logs"), cleanup("other"))
    lie = finding({"identity": identity, "compress": False, "allocated": 4096})
    session = Scripted(facts(), lie, ended(), ended("task:other"))
    looked = probing.look(HOST, rules.tasks, surroundings(session))
    assert looked.plan is not None
    assert [(task.state, task.reason) for task in looked.plan.tasks] == [
        (State.UNKNOWN, Reason.GARBLED),
        (State.NOTHING, Reason.NO_MATCH),
    ]


# What was not finished


def test_what_became_of_unfinished_changes_is_told_with_the_look(box: Box) -> None:
    box.write("moved.log", "left.log", "changed.log", "gone.log")
    changes = [box.change(name) for name in ("moved.log", "left.log", "changed.log", "gone.log")]
    with Store.open(box.base / "state", create=True) as store:
        ledger = ledger_of(store)
        steps = box.steps("moved.log")
        acting, surroundings = applying.actors(settings().tasks), work([box])
        apply_held(box.host, box.machine_id, steps, acting, ledger, Brakes(surroundings, ledger))
    (box.logs / "changed.log").write_bytes(b"other")
    (box.logs / "gone.log").unlink()

    looked = probing.look(box.host, settings().tasks, work([box]), unfinished=changes)

    assert [(outcome.change_id, outcome.state, outcome.reason) for outcome in looked.recalled] == [
        (changes[0].id, State.DONE, Reason.VERIFIED),
        (changes[1].id, State.SKIPPED, Reason.NOT_STARTED),
        (changes[2].id, State.UNKNOWN, Reason.CHANGED_SINCE),
        (changes[3].id, State.UNKNOWN, Reason.VANISHED),
    ]


def told_of(change_id: str, **data: Any) -> list[Frame]:
    found = finding(data, kind="recall", subject=change_id, task="recall")
    return [facts(), found, ended("recall"), ended()]


@pytest.mark.parametrize(
    ("data", "state", "reason"),
    [
        ({"state": "done", "reason": "verified"}, State.DONE, Reason.VERIFIED),
        ({"state": "splendid", "reason": "verified"}, State.UNKNOWN, Reason.VERIFIED),
        ({"state": "done", "reason": "mood"}, State.DONE, Reason.HELPER_ERROR),
        ({}, State.UNKNOWN, Reason.HELPER_ERROR),
        ({"state": ["done"], "reason": ["verified"]}, State.UNKNOWN, Reason.HELPER_ERROR),
    ],
)
def test_a_word_that_is_not_known_never_recalls_a_success(
    data: dict[str, Any], state: State, reason: Reason, box: Box
) -> None:
    box.write("a.log")
    change = box.change("a.log")
    (outcome,) = look(*told_of(change.id, **data), unfinished=[change]).recalled
    assert (outcome.change_id, outcome.state) == (change.id, state)
    assert outcome.reason in (reason, Reason.NONE)


def test_a_change_that_the_host_does_not_speak_of_is_unknown(box: Box) -> None:
    box.write("a.log")
    change = box.change("a.log")
    looked = look(facts(), ended("recall"), ended(), unfinished=[change])
    assert looked.recalled == (Outcome(change.id, State.UNKNOWN, Reason.UNFINISHED, "the host cannot tell"),)


def test_a_recalled_outcome_has_what_was_measured_and_nothing_else(box: Box) -> None:
    box.write("a.log")
    change = box.change("a.log")
    frames = told_of(change.id, state="done", reason="verified", detail="", measured={"trash_item": "x"})
    (outcome,) = look(*frames, unfinished=[change]).recalled
    assert outcome == Outcome(change.id, State.DONE, Reason.VERIFIED, "", {"trash_item": "x"})


# The request


def test_one_request_asks_for_all_tasks_and_nothing_twice(box: Box) -> None:
    box.write("a.log")
    change = box.change("a.log")
    rules = settings(cleanup("one"), verify("two"))
    request = probing.probe_request(box.host, rules.tasks, rules, clock(), unfinished=[change])
    assert [(item["id"], item["op"]) for item in request["tasks"]] == [
        ("recall", "recall"),
        ("task:one", "cleanup"),
        ("task:two", "backups"),
    ]
    assert request["tasks"][0]["args"] == {"changes": [change_to_json(change)]}
    assert (request["mode"], request["lock"], request["machine_id"]) == ("probe", "shared", "")


def test_a_task_named_like_the_recall_is_not_taken_for_it(box: Box) -> None:
    box.write("a.log")
    rules = settings(cleanup("recall"))
    looked = probing.look(box.host, rules.tasks, work([box], rules), unfinished=[box.change("a.log")])
    assert looked.plan is not None
    assert len(looked.plan.changes) == len(looked.recalled) == 1


def test_every_session_is_closed(make_box: Callable[..., Box], monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(LocalSession, "close", lambda session: closed.append(session.host.name))
    box = make_box()
    probing.look(box.host, settings().tasks, work([box]))
    look(facts())
    assert closed == ["web-1", "web-9"]
