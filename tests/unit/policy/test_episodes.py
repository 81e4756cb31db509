"""The state machine of an episode: forward, anew, or to an end; out of an end nothing leads."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.model import Autonomy, Decision, Host, Reason, State
from maintenancebot.policy.autonomy import autonomy, within
from maintenancebot.policy.episodes import (
    ENDED,
    Episode,
    EpisodeState,
    conclusion,
    is_broken_off,
    may_move,
    moved,
)
from maintenancebot.settings import CleanupTask
from tests.unit.engine.boxes import cleanup, settings

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STATES = st.sampled_from(list(EpisodeState))
ORDER = list(EpisodeState)


def episode(state: EpisodeState = EpisodeState.OPENED) -> Episode:
    return Episode("e1", "disk", "web-1", "/var", NOON, NOON, state=state)


@given(st.lists(STATES, max_size=30))
def test_whatever_is_asked_of_it_acting_comes_after_the_gate_and_an_end_is_final(wanted: list[EpisodeState]) -> None:
    current, taken = episode(), []
    for number, state in enumerate(wanted):
        if may_move(current.state, state):
            current = moved(current, state, NOON + timedelta(seconds=number), Reason.NONE, found=number)
            taken.append(state)
        else:
            with pytest.raises(ValueError, match="an episode does not go from"):
                moved(current, state, NOON)
    assert [step[0] for step in current.body.get("steps", [])] == [state.value for state in taken]
    for before, after in zip([EpisodeState.OPENED, *taken], taken, strict=False):
        assert before not in ENDED
        if after is EpisodeState.ACTED:
            assert before in (EpisodeState.GATED, EpisodeState.ACTED)
        if after is EpisodeState.VERIFIED:
            assert before in (EpisodeState.ACTED, EpisodeState.VERIFIED)
    assert (current.closed_at is not None) == (current.state in ENDED)


@given(st.sampled_from(list(State)), st.sampled_from(list(Reason)), st.booleans())
def test_every_verdict_has_a_conclusion_and_only_what_is_well_or_unwanted_is_closed(
    state: State, reason: Reason, acted: bool
) -> None:
    after, why = conclusion(state, reason, acted=acted)
    assert after in (EpisodeState.CLOSED, EpisodeState.ESCALATED, EpisodeState.GATED)
    assert (after is EpisodeState.GATED) == (state is State.WAITING)
    if state in (State.FAILED, State.UNKNOWN) and reason not in (Reason.MISSING, Reason.UNKNOWN_MOUNT):
        quiet = (Reason.OBSERVE_ONLY, Reason.MAINTENANCE, Reason.OBSERVED, Reason.VERIFIED)
        assert after is EpisodeState.ESCALATED or reason in quiet
    if why is Reason.VERIFIED and reason is not Reason.VERIFIED:
        assert state in (State.DONE, State.NOTHING)


@pytest.mark.parametrize(
    ("state", "reason", "acted", "expected"),
    [
        (State.DONE, Reason.VERIFIED, True, (EpisodeState.CLOSED, Reason.VERIFIED)),
        (State.NOTHING, Reason.TARGET_MET, False, (EpisodeState.CLOSED, Reason.OBSERVED)),
        (State.NOTHING, Reason.TARGET_MET, True, (EpisodeState.CLOSED, Reason.VERIFIED)),
        (State.FAILED, Reason.NOT_ENOUGH, True, (EpisodeState.ESCALATED, Reason.NOT_ENOUGH)),
        (State.FAILED, Reason.MISSING, False, (EpisodeState.CLOSED, Reason.UNKNOWN_MOUNT)),
        (State.SKIPPED, Reason.READ_ONLY, False, (EpisodeState.ESCALATED, Reason.READ_ONLY)),
        (State.SKIPPED, Reason.STOPPED, False, (EpisodeState.ESCALATED, Reason.STOPPED)),
        (State.SKIPPED, Reason.OBSERVE_ONLY, False, (EpisodeState.CLOSED, Reason.OBSERVE_ONLY)),
        (State.SKIPPED, Reason.MAINTENANCE, False, (EpisodeState.CLOSED, Reason.MAINTENANCE)),
        (State.UNKNOWN, Reason.UNREACHABLE, False, (EpisodeState.ESCALATED, Reason.UNREACHABLE)),
        (State.WAITING, Reason.BLAST_RADIUS, False, (EpisodeState.GATED, Reason.BLAST_RADIUS)),
    ],
)
def test_how_it_goes_on(state: State, reason: Reason, acted: bool, expected: tuple[EpisodeState, Reason]) -> None:
    assert conclusion(state, reason, acted=acted) == expected


def test_what_a_signal_ended_is_gone_on_with() -> None:
    assert {reason for reason in Reason if is_broken_off(reason)} == {Reason.INTERRUPTED, Reason.FENCED}


TASK = {"name": "logs", "type": "cleanup", "patterns": [{"path": "/var/log/app/*.log", "retention_days": 30}]}


@pytest.mark.parametrize(
    ("groups", "words", "tasks", "expected"),
    [
        ((), {}, (), Autonomy.AUTO),
        ((), {"db": "observe"}, ("notify",), Autonomy.NOTIFY),
        (("web", "db"), {"db": "required", "web": "auto"}, ("auto",), Autonomy.REQUIRED),
        (("web",), {"web": "notify"}, ("auto", "observe"), Autonomy.OBSERVE),
    ],
)
def test_the_most_careful_word_holds(
    groups: tuple[str, ...], words: dict[str, str], tasks: tuple[str, ...], expected: Autonomy
) -> None:
    rules = settings(cleanup(), guards={"autonomy": words})
    given_tasks = [CleanupTask.model_validate({**TASK, "approval": word}) for word in tasks]
    assert autonomy(Host("web-1", "192.0.2.1", groups=groups), given_tasks, rules) is expected


def test_a_no_of_the_gate_stays_whatever_the_autonomy_is() -> None:
    no = Decision("c1", State.SKIPPED, Reason.STOPPED, "stopped")
    yes = Decision("c1", State.PLANNED)
    for word in Autonomy:
        assert within(no, word, frozenset({"c1"})) is no
    assert within(yes, Autonomy.OBSERVE, frozenset({"c1"})).reason is Reason.OBSERVE_ONLY
    assert within(yes, Autonomy.REQUIRED, frozenset()).state is State.WAITING
    assert within(yes, Autonomy.REQUIRED, frozenset({"c1"})).allowed
    assert within(yes, Autonomy.NOTIFY, frozenset()).allowed
