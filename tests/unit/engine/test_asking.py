"""A step that asks in its middle is answered by its actor, for the host of this connection, while nothing says stop."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from maintenancebot.actions import trash
from maintenancebot.engine import logins
from maintenancebot.engine.brakes import Brakes
from maintenancebot.model import Action, Host, Json, Outcome, Reason, State, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.settings import Settings
from maintenancebot.store import Store
from tests.unit.engine.boxes import DAYS, apply_held, clock, ledger_of, work
from tests.unit.engine.scripted import Frame, Scripted, facts

CHANGE = make_change("web-9", "trash", Action.QUARANTINE_FILE, name="/x", identity={"path": "/x"}, undo=Undo.TRASH)
STEP = Step("s1", "trash", "trash.move", (CHANGE,))
ANSWERED = {"change": CHANGE.id, "state": "done", "reason": "verified", "detail": "", "measured": {}}
HEAR: Frame = ("hear", None)
BEGUN: list[Frame] = [("step", {"step": "s1"}), HEAR]
ENDED: Frame = ("outcome", {"step": "s1", "outcomes": [ANSWERED]})


@dataclass
class Actor:
    """Answers, and remembers for whom."""

    asked: list[tuple[str, Json, str]] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)

    def outcomes(self, step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
        return trash.outcomes(step, raw)

    def reply(self, step: Step, question: Mapping[str, Json], host: Host, settings: Settings) -> Mapping[str, Json]:
        self.asked.append((step.id, question["ask"], host.name))
        return {"fine": True}

    def give_up(self, host: Host) -> None:
        self.given_up.append(host.name)


def ask(**question: Any) -> list[Frame]:
    return [("ask", {"step": "s1", "question": question}), HEAR]


def apply(store: Store, actor: Actor, *frames: Frame, stopped: bool = False, ctrl_c: bool = False) -> Outcome:
    ledger = ledger_of(store)
    surroundings = replace(work([]), connect=lambda host: Scripted(facts(), *frames, ahead_seconds=DAYS * 86400))
    brakes = Brakes(surroundings, ledger)
    if stopped:
        said_first = iter([Reason.NONE])  # to the step; after that the switch is thrown
        brakes.objection = lambda host: next(said_first, Reason.STOPPED)  # type: ignore[method-assign]
    if ctrl_c:
        permitted = brakes.objection

        def objection(host: Host) -> Reason:
            said = permitted(host)
            surroundings.stop.set()  # right after the step was begun
            return said

        brakes.objection = objection  # type: ignore[method-assign]
    made = apply_held(Host("web-9", "local"), "f" * 32, [STEP], {"trash": actor}, ledger, brakes)
    return made[CHANGE.id]


def test_the_actor_answers_for_the_host_that_it_is_connected_to(store: Store) -> None:
    actor = Actor()
    outcome = apply(store, actor, *BEGUN, *ask(ask="one", host="another"), *ask(ask="two"), ENDED)
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED)
    assert actor.asked == [("s1", "one", "web-9"), ("s1", "two", "web-9")]


@pytest.mark.parametrize("frames", [[*BEGUN, ENDED], BEGUN, [*BEGUN, *ask(ask="one")], []])
def test_whatever_way_it_ends_nothing_is_left_waiting(store: Store, frames: list[Frame]) -> None:
    actor = Actor()
    apply(store, actor, *frames)
    assert actor.given_up == ["web-9"]


def test_while_something_says_stop_nobody_is_asked(store: Store) -> None:
    actor = Actor()
    apply(store, actor, *BEGUN, *ask(ask="one"), ENDED, stopped=True)
    assert actor.asked == []


@pytest.mark.parametrize("odd", [{"step": "s2", "question": {"ask": "one"}}, {"step": "s1", "question": "one"}, {}])
def test_a_question_of_no_step_in_hand_is_garbled(store: Store, odd: dict[str, Any]) -> None:
    actor = Actor()
    outcome = apply(store, actor, *BEGUN, ("ask", odd), HEAR, ENDED)
    assert (outcome.state, outcome.reason) == (State.UNKNOWN, Reason.GARBLED)
    assert actor.asked == []


def test_what_completes_the_change_in_hand_is_answered_after_an_interruption(store: Store) -> None:
    actor = Actor()
    apply(store, actor, *BEGUN, *ask(ask="roll_back"), *ask(ask="one"), ENDED, ctrl_c=True)
    assert [asked for _, asked, _ in actor.asked] == ["roll_back"]


def test_the_kill_switch_forbids_even_that(store: Store) -> None:
    actor = Actor()
    store.guard.stop("wait", "ann", at=clock())
    ledger = ledger_of(store)
    assert ledger.objection("web-9") is Reason.STOPPED

    class Heedless(Brakes):
        def objection(self, host: Host) -> Reason:
            return Reason.NONE  # the step was permitted before the switch was thrown

    surroundings = replace(
        work([]),
        connect=lambda host: Scripted(facts(), *BEGUN, *ask(ask="roll_back"), ENDED, ahead_seconds=DAYS * 86400),
    )
    brakes = Heedless(surroundings, ledger)
    apply_held(Host("web-9", "local"), "f" * 32, [STEP], {"trash": actor}, ledger, brakes)
    assert actor.asked == []


@pytest.mark.parametrize("ctrl_c", [False, True])
def test_a_login_is_tried_by_the_engine_itself_for_whatever_subject(
    store: Store, monkeypatch: pytest.MonkeyPatch, ctrl_c: bool
) -> None:
    tried: list[tuple[str, str]] = []
    monkeypatch.setattr(logins, "_enter", lambda host, machine_id, work: tried.append((host.name, machine_id)))
    actor = Actor()
    outcome = apply(store, actor, *BEGUN, *ask(ask="login"), ENDED, ctrl_c=ctrl_c)
    assert (outcome.state, tried, actor.asked) == (State.DONE, [("web-9", "f" * 32)], [])
