"""Changes are made one step at a time, each permitted, recorded and accounted for, whatever happens on the way."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.catalog import SUBJECTS, Answers
from maintenancebot.engine import applying, probing
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.errors import StoreError
from maintenancebot.model import Action, Change, Host, Outcome, Reason, State, Step, TaskType, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.store import Store
from tests.unit.engine.boxes import DAYS, Box, Told, apply_held, cleanup, clock, ledger_of, settings, work
from tests.unit.engine.scripted import Frame, Scripted, facts

DIGEST = "d" * 64
UPGRADE = make_change(
    "web-9", "p", Action.UPGRADE_PACKAGE, name="x=2", identity={"package": "x", "to": "2"}, undo=Undo.NONE
)
REBOOT = make_change("web-9", "p", Action.REBOOT_HOST, name="reboot", identity={"boot_id": "b1"}, undo=Undo.NONE)
FILES = [f"{number}.log" for number in range(6)]
MOVES = {"logs": SUBJECTS[TaskType.CLEANUP].actions}


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return ledger_of(store)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def full_box(box: Box) -> Box:
    box.write(*FILES)
    return box


def make(
    host: Host,
    machine_id: str,
    steps: Sequence[Step],
    acting: Mapping[str, Answers],
    surroundings: Work,
    ledger: Ledger,
    **limits: Any,
) -> dict[str, Outcome]:
    """Make the steps with brakes of the test's choice."""
    return apply_held(host, machine_id, steps, acting, ledger, Brakes(surroundings, ledger, **limits))


def apply(
    box: Box, ledger: Ledger, told: Told, *, steps: list[Step] | None = None, **limits: Any
) -> list[tuple[State, Reason]]:
    """Move the files of a box; states and reasons in the order of the steps."""
    steps = box.steps(*FILES) if steps is None else steps
    made = make(box.host, box.machine_id, steps, MOVES, work([box], told=told), ledger, **limits)
    return [(made[c.id].state, made[c.id].reason) for step in steps for c in step.changes]


def open_names(store: Store) -> list[str]:
    return [os.path.basename(intent.change.name) for intent in store.intents.unfinished()]


DONE = (State.DONE, Reason.VERIFIED)


def test_all_steps_are_made_in_their_order_and_recorded(
    full_box: Box, ledger: Ledger, told: Told, store: Store
) -> None:
    assert apply(full_box, ledger, told) == [DONE] * 6
    assert [os.path.basename(name) for name in told.begun] == FILES
    assert [os.path.basename(name) for _, name, _ in told.steps] == FILES
    assert (full_box.names(), len(full_box.trash)) == ([], 6)
    assert open_names(store) == []
    assert (store.audit.verify().ok, store.audit.verify().rows) == (True, 12)


def test_every_intent_is_written_before_the_host_is_spoken_to(
    full_box: Box, ledger: Ledger, told: Told, store: Store
) -> None:
    seen: list[list[str]] = []
    session = full_box.session

    def connecting() -> Any:
        seen.append(open_names(store))
        return session()

    full_box.session = connecting
    apply(full_box, ledger, told)
    assert seen == [FILES]


def test_the_outcome_of_a_step_is_on_disk_before_the_next_is_begun(
    full_box: Box, ledger: Ledger, told: Told, store: Store
) -> None:
    open_at: list[int] = []
    told.before = lambda host, name: open_at.append(len(open_names(store)))
    apply(full_box, ledger, told)
    assert open_at == [6, 5, 4, 3, 2, 1]


# Stop means stop


@pytest.mark.parametrize("number", [0, 3, 5])
def test_the_kill_switch_is_seen_before_every_single_change(
    number: int, full_box: Box, ledger: Ledger, told: Told, store: Store
) -> None:
    def stop(host: str, name: str) -> None:
        if len(told.steps) == number:
            store.guard.stop("disk swap", "ann", at=clock())

    told.after = stop
    if number == 0:
        store.guard.stop("disk swap", "ann", at=clock())
    assert apply(full_box, ledger, told) == [DONE] * number + [(State.SKIPPED, Reason.STOPPED)] * (6 - number)
    assert full_box.names() == FILES[number:]
    assert open_names(store) == []


def test_a_stop_file_that_a_person_makes_stops_too(full_box: Box, ledger: Ledger, told: Told, tmp_path: Path) -> None:
    told.after = lambda host, name: (tmp_path / "state" / "STOP").touch()
    assert apply(full_box, ledger, told) == [DONE] + [(State.SKIPPED, Reason.STOPPED)] * 5


def test_a_signal_ends_after_the_change_in_hand(full_box: Box, ledger: Ledger, told: Told, store: Store) -> None:
    surroundings = work([full_box], told=told)
    told.before = lambda host, name: surroundings.stop.set() if name.endswith("2.log") else None
    steps = full_box.steps(*FILES)
    made = make(full_box.host, full_box.machine_id, steps, MOVES, surroundings, ledger)
    reasons = [made[step.changes[0].id].reason for step in steps]
    assert reasons == [Reason.VERIFIED] * 3 + [Reason.INTERRUPTED] * 3
    assert full_box.names() == FILES[3:]
    assert open_names(store) == []


def test_the_fleets_budget_holds_until_the_last_change(full_box: Box, told: Told, store: Store) -> None:
    limited = ledger_of(store, limits=settings(guards={"actions_per_hour": 4}).guards)
    assert apply(full_box, limited, told) == [DONE] * 4 + [(State.SKIPPED, Reason.BUDGET_SPENT)] * 2
    assert (full_box.names(), open_names(store)) == (FILES[4:], [])


def test_a_plan_that_expires_in_the_middle_goes_no_further(full_box: Box, ledger: Ledger, told: Told) -> None:
    expires_at = clock() + timedelta(hours=1)
    surroundings = work([full_box], told=told)
    late = replace(surroundings, now=lambda: clock() + timedelta(hours=2 if len(told.steps) >= 2 else 0))
    steps = full_box.steps(*FILES)
    rules = settings(guards={"max_clock_skew_seconds": 86400})
    late = replace(late, settings=rules)
    made = make(full_box.host, full_box.machine_id, steps, MOVES, late, ledger, expires_at=expires_at)
    assert [made[step.changes[0].id].reason for step in steps] == [Reason.VERIFIED] * 2 + [Reason.PLAN_EXPIRED] * 4


CLOSING = {
    Reason.FREEZE: {"freeze": [{"start": "2000-01-01", "end": "2099-12-31", "reason": "holidays"}]},
    Reason.OUTSIDE_WINDOW: {
        "window": {
            "start": f"{clock() + timedelta(hours=2):%H:00}",
            "end": f"{clock() + timedelta(hours=3):%H:00}",
        }
    },
}


@pytest.mark.parametrize("reason", CLOSING)
def test_a_window_that_closes_and_a_freeze_that_begins_let_no_further_change_through(
    full_box: Box, ledger: Ledger, told: Told, reason: Reason
) -> None:
    opened = replace(work([full_box], told=told), settings=settings())
    closed = settings(**CLOSING[reason])
    told.after = lambda host, name: object.__setattr__(opened, "settings", closed) if len(told.steps) == 3 else None
    steps = full_box.steps(*FILES)
    expires_at = clock() + timedelta(hours=1)
    made = make(full_box.host, full_box.machine_id, steps, MOVES, opened, ledger, expires_at=expires_at)
    assert [made[step.changes[0].id].reason for step in steps] == [Reason.VERIFIED] * 3 + [reason] * 3


def test_a_host_that_nobody_waits_for_any_more_is_changed_no_further(full_box: Box, ledger: Ledger, told: Told) -> None:
    surroundings = work([full_box], told=told)
    brakes = Brakes(surroundings, ledger)
    told.after = lambda host, name: brakes.overdue(host)
    steps = full_box.steps(*FILES)
    made = apply_held(full_box.host, full_box.machine_id, steps, MOVES, ledger, brakes)
    assert [made[step.changes[0].id].reason for step in steps] == [Reason.VERIFIED] + [Reason.DEADLINE] * 5
    assert full_box.names() == FILES[1:]


def test_a_clock_that_is_wrong_by_now_keeps_every_old_file(full_box: Box, ledger: Ledger, told: Told) -> None:
    surroundings = replace(work([full_box], told=told), now=lambda: clock() - timedelta(hours=1))
    steps = full_box.steps(*FILES)
    made = make(full_box.host, full_box.machine_id, steps, MOVES, surroundings, ledger)
    assert {(outcome.state, outcome.reason) for outcome in made.values()} == {(State.SKIPPED, Reason.CLOCK_SKEW)}
    assert full_box.names() == FILES


# No durable record, no change


class Failing:
    """Stands where the ledger meets the store: nothing more can be written after some calls."""

    def __init__(self, store: Store, good: int) -> None:
        self.guard, self.audit, self.leases = store.guard, store.audit, store.leases
        self._intents, self._good = store.intents, good
        self.intents = self

    def record(self, *words: Any, **more: Any) -> list[Step]:
        self._spend()
        return self._intents.record(*words, **more)

    def close(self, *words: Any, **more: Any) -> None:
        self._spend()
        self._intents.close(*words, **more)

    def _spend(self) -> None:
        if self._good == 0:
            raise StoreError("disk full")
        self._good -= 1


@pytest.mark.parametrize("written", [0, 2, 5])
def test_a_record_that_cannot_be_written_ends_it_after_the_change_it_was_about(
    written: int, full_box: Box, told: Told, store: Store
) -> None:
    failing: Any = Failing(store, 1 + written)
    states = apply(full_box, ledger_of(failing), told)
    assert states == [DONE] * (written + 1) + [(State.SKIPPED, Reason.AUDIT_UNWRITABLE)] * (5 - written)
    assert full_box.names() == FILES[written + 1 :]
    assert open_names(store) == FILES[written:], "what has no record stays open for the next start"


def test_without_a_written_intent_nobody_even_connects(full_box: Box, told: Told, store: Store) -> None:
    failing: Any = Failing(store, 0)
    assert apply(full_box, ledger_of(failing), told) == [(State.SKIPPED, Reason.AUDIT_UNWRITABLE)] * 6
    assert full_box.executions == []
    assert full_box.names() == FILES


def test_one_record_that_is_lost_stops_every_host_even_when_the_disk_has_space_again(
    make_box: Callable[..., Box], told: Told, store: Store
) -> None:
    boxes = [make_box("web-1"), make_box("web-2")]
    for one in boxes:
        one.write(*FILES)
    second_began, first_ended = threading.Event(), threading.Event()
    ledger = ledger_of(store)
    close = store.intents.close

    def once(*words: Any, **more: Any) -> None:
        store.intents.close = close  # type: ignore[method-assign]
        raise StoreError("disk full for a moment")

    def before(host: str, name: str) -> None:
        if host == "web-2":
            second_began.set()
            first_ended.wait(20)
        elif name.endswith("2.log"):
            second_began.wait(20)
            store.intents.close = once  # type: ignore[method-assign]

    told.before = before
    results: dict[str, list[tuple[State, Reason]]] = {}

    def one_host(one: Box) -> None:
        results[one.host.name] = apply(one, ledger, told)
        if one.host.name == "web-1":
            first_ended.set()

    threads = [threading.Thread(target=one_host, args=(one,)) for one in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    refused = (State.SKIPPED, Reason.AUDIT_UNWRITABLE)
    assert results == {"web-1": [DONE] * 3 + [refused] * 3, "web-2": [DONE] + [refused] * 5}
    assert open_names(store) == ["2.log"]


def test_a_database_that_another_process_keeps_locked_ends_it(
    full_box: Box, told: Told, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maintenancebot.store.database.BUSY_MILLISECONDS", 50)
    busy = sqlite3.connect(tmp_path / "state" / "state.db", isolation_level=None, check_same_thread=False)
    told.after = lambda host, name: busy.execute("BEGIN IMMEDIATE") if len(told.steps) == 3 else None
    with Store.open(tmp_path / "state", create=False) as other:
        states = apply(full_box, ledger_of(other), told)
    busy.close()
    assert states == [DONE] * 3 + [(State.SKIPPED, Reason.AUDIT_UNWRITABLE)] * 3
    assert full_box.names() == FILES[3:]
    assert open_names(store) == FILES[2:]


def test_a_database_that_was_taken_away_stops_everything(
    full_box: Box, ledger: Ledger, told: Told, tmp_path: Path
) -> None:
    told.after = lambda host, name: (
        (tmp_path / "state" / "state.db").rename(tmp_path / "away") if len(told.steps) == 1 else None
    )
    states = apply(full_box, ledger, told)
    assert states == [DONE] + [(State.SKIPPED, Reason.AUDIT_UNWRITABLE)] * 5
    assert full_box.names() == FILES[1:]


# Hosts that fail


def test_a_helper_that_dies_leaves_the_step_in_hand_unknown_and_open(
    full_box: Box, ledger: Ledger, told: Told, store: Store
) -> None:
    told.before = lambda host, name: full_box.kill_helper() if name.endswith("2.log") else None
    states = apply(full_box, ledger, told)
    assert states == [DONE] * 2 + [(State.UNKNOWN, Reason.LINK_LOST)] + [(State.FAILED, Reason.LINK_LOST)] * 3
    assert open_names(store) == ["2.log"]
    assert full_box.names() == FILES[2:]


def test_what_is_looked_up_later_says_so(full_box: Box, ledger: Ledger, told: Told) -> None:
    told.before = lambda host, name: full_box.kill_helper() if name.endswith("2.log") else None
    steps = full_box.steps(*FILES)
    made = make(full_box.host, full_box.machine_id, steps, MOVES, work([full_box], told=told), ledger)
    lost = "the answer broke off before its end"
    assert made[steps[2].changes[0].id].detail == f"{lost}; looked up at the next start"
    assert made[steps[3].changes[0].id].detail == lost


def test_another_machine_at_the_address_is_not_touched(full_box: Box, ledger: Ledger, told: Told, store: Store) -> None:
    full_box.become_machine("e" * 32)
    assert apply(full_box, ledger, told) == [(State.SKIPPED, Reason.MACHINE_CHANGED)] * 6
    assert (full_box.names(), full_box.trash, told.begun, open_names(store)) == (FILES, [], [], [])


@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH], ids=["changed", "looked at"])
def test_a_host_where_somebody_is_at_work_is_busy(
    kind: int, full_box: Box, ledger: Ledger, told: Told, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "LOCK_WAIT_SECONDS", 0)
    folder = os.open(full_box.base / "root", os.O_RDONLY)
    fcntl.flock(folder, kind)
    try:
        assert apply(full_box, ledger, told) == [(State.SKIPPED, Reason.BUSY)] * 6
    finally:
        os.close(folder)
    assert (full_box.names(), open_names(store)) == (FILES, [])


def test_a_host_that_cannot_be_reached_has_failed_and_nothing_stays_open(
    ledger: Ledger, store: Store, full_box: Box
) -> None:
    steps = full_box.steps("1.log")
    made = make(full_box.host, full_box.machine_id, steps, MOVES, work([]), ledger)
    (change,) = steps[0].changes
    assert made == {change.id: Outcome(change.id, State.FAILED, Reason.UNREACHABLE, "Connection refused", begun=False)}
    assert open_names(store) == []


def test_what_changed_since_the_plan_is_skipped_and_the_next_is_made(full_box: Box, ledger: Ledger, told: Told) -> None:
    steps = full_box.steps("0.log", "1.log", "2.log")
    full_box.write("0.log", content=b"new")
    (full_box.logs / "1.log").unlink()
    assert apply(full_box, ledger, told, steps=steps) == [
        (State.SKIPPED, Reason.CHANGED_SINCE),
        (State.NOTHING, Reason.ALREADY_GONE),
        DONE,
    ]


# Hosts that lie

ONE = make_change("web-9", "logs", Action.QUARANTINE_FILE, name="/x", identity={"path": "/x"}, undo=Undo.TRASH)
TWO = make_change("web-9", "logs", Action.QUARANTINE_FILE, name="/y", identity={"path": "/y"}, undo=Undo.TRASH)
STEPS = [Step("s1", "logs", "trash.move", (ONE,)), Step("s2", "logs", "trash.move", (TWO,))]
HEAR: Frame = ("hear", None)


def ask(step: str) -> Frame:
    return "step", {"step": step}


def answer(step: str, change: Change, /, **changed: Any) -> Frame:
    told = {"change": change.id, "state": "done", "reason": "verified", "detail": "", "measured": {}, **changed}
    return "outcome", {"step": step, "outcomes": [told]}


def apply_scripted(ledger: Ledger, *frames: Frame) -> dict[str, tuple[State, Reason]]:
    surroundings = replace(work([]), connect=lambda host: Scripted(facts(), *frames, ahead_seconds=DAYS * 86400))
    made = make(Host("web-9", "local"), "f" * 32, STEPS, MOVES, surroundings, ledger)
    return {"one": _short(made.get(ONE.id)), "two": _short(made.get(TWO.id))}


def _short(outcome: Outcome | None) -> Any:
    return (outcome.state, outcome.reason) if outcome else None


def test_a_helper_as_agreed_is_believed(ledger: Ledger) -> None:
    said = apply_scripted(ledger, ask("s1"), HEAR, answer("s1", ONE), ask("s2"), HEAR, answer("s2", TWO))
    assert said == {"one": DONE, "two": DONE}


GARBLED = (State.FAILED, Reason.GARBLED)
IN_HAND = (State.UNKNOWN, Reason.GARBLED)


@pytest.mark.parametrize(
    ("frames", "one", "two"),
    [
        ([ask("s2")], GARBLED, GARBLED),
        ([ask("s9")], GARBLED, GARBLED),
        ([answer("s1", ONE)], GARBLED, GARBLED),
        ([ask("s1"), HEAR, answer("s2", TWO)], IN_HAND, GARBLED),
        ([ask("s1"), HEAR, answer("s1", ONE), answer("s1", ONE)], DONE, GARBLED),
        ([ask("s1"), HEAR, answer("s1", TWO), ask("s1")], IN_HAND, GARBLED),
    ],
    ids=["not the next", "no step of ours", "unasked", "another's outcome", "twice", "no answer for the change"],
)
def test_a_helper_out_of_order_is_garbled_and_nothing_more_is_allowed(
    frames: list[Frame], one: Any, two: Any, ledger: Ledger
) -> None:
    assert apply_scripted(ledger, *frames) == {"one": one, "two": two}


@pytest.mark.parametrize(
    ("frames", "one", "two"),
    [
        ([], GARBLED, GARBLED),
        ([ask("s1"), HEAR], IN_HAND, GARBLED),
        ([ask("s1"), HEAR, answer("s1", ONE)], DONE, GARBLED),
    ],
    ids=["nothing", "in hand", "half"],
)
def test_an_answer_that_ends_before_the_last_step_is_no_success(
    frames: list[Frame], one: Any, two: Any, ledger: Ledger, store: Store
) -> None:
    assert apply_scripted(ledger, *frames) == {"one": one, "two": two}
    assert [intent.change.id for intent in store.intents.unfinished()] == ([ONE.id] if one == IN_HAND else [])


@pytest.mark.parametrize(
    "lie",
    [{"state": "splendid"}, {"state": None}, {"reason": "mood"}, {"measured": 7}, {"change": ["x"]}, {"state": {}}],
)
def test_an_odd_outcome_is_unknown(lie: dict[str, Any], ledger: Ledger) -> None:
    assert apply_scripted(ledger, ask("s1"), HEAR, answer("s1", ONE, **lie), ask("s2"))["one"] == IN_HAND


@pytest.mark.parametrize(
    "task_type",
    [
        TaskType.CLEANUP,
        TaskType.PACKAGE_UPDATE,
        TaskType.MONITOR,
    ],
)
def test_no_subject_stumbles_over_odd_outcomes(task_type: TaskType) -> None:
    actions = SUBJECTS[task_type].actions
    odd: list[Any] = [7, None, "x", [], {}, {"change": ["x"]}, {"change": ONE.id, "state": [], "measured": 7}]
    odd.append({"change": ONE.id, "state": "done", "reason": "verified", "measured": 7})
    for item in odd:
        (outcome,) = actions.outcomes(STEPS[0], [item])
        assert (outcome.change_id, outcome.state) == (ONE.id, State.UNKNOWN)


# Which steps


def test_only_allowed_changes_become_steps_in_the_plans_order(full_box: Box) -> None:
    rules = settings(cleanup("first", path="/var/log/app/[0-2].log"), cleanup("second", path="/var/log/app/[3-5].log"))
    surroundings: Work = work([full_box], rules)
    plan = probing.look(full_box.host, rules.tasks, surroundings).plan
    assert plan is not None
    allowed = frozenset(change.id for change in plan.changes if not change.name.endswith(("1.log", "3.log")))
    steps = applying.steps_of(plan, allowed, rules.tasks, surroundings)
    assert [os.path.basename(step.changes[0].name) for step in steps] == ["0.log", "2.log", "4.log", "5.log"]
    assert {step.task for step in steps} == {"first", "second"}
    assert applying.steps_of(plan, frozenset(), rules.tasks, surroundings) == []


def test_a_reboot_comes_after_the_work_of_all_tasks(full_box: Box) -> None:
    rules = settings({"name": "p", "type": "package_update", "scope": "all"}, cleanup("logs"))
    surroundings: Work = work([full_box], rules)
    plan = probing.look(full_box.host, rules.tasks[1:], surroundings).plan
    assert plan is not None
    first = TaskPlan("p", TaskType.PACKAGE_UPDATE, State.PLANNED, changes=(UPGRADE, REBOOT))
    plan = replace(plan, tasks=(first, *plan.tasks))
    allowed = frozenset(change.id for change in plan.changes)
    ops = [step.op for step in applying.steps_of(plan, allowed, rules.tasks, surroundings)]
    assert (ops[0], ops[-1], ops.count("host.reboot")) == ("patches.upgrade", "host.reboot", 1)
    assert "trash.move" in ops


@pytest.mark.parametrize(("version", "rebooted"), [("2", True), ("1", False)])
def test_no_reboot_after_an_upgrade_that_is_not_well(version: str, rebooted: bool, ledger: Ledger) -> None:
    steps = [Step("u", "p", "patches.upgrade", (UPGRADE,)), Step("r", "p", "host.reboot", (REBOOT,))]
    frames = [facts(), ask("u"), HEAR, answer("u", UPGRADE, measured={"installed": version}), ask("r"), HEAR]
    frames.append(answer("r", REBOOT, state="unknown", reason="unfinished"))
    sessions = iter([Scripted(*frames, ahead_seconds=DAYS * 86400), Scripted(facts())])  # the second: is there a login?
    surroundings = replace(work([]), connect=lambda host: next(sessions))
    acting = {"p": SUBJECTS[TaskType.PACKAGE_UPDATE].actions}
    made = make(Host("web-9", "local"), "f" * 32, steps, acting, surroundings, ledger)
    assert (made[UPGRADE.id].state is State.DONE) is rebooted
    wanted = (State.UNKNOWN, Reason.UNFINISHED) if rebooted else (State.SKIPPED, Reason.UNHEALTHY)
    assert _short(made[REBOOT.id]) == wanted
