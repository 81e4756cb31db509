from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from maintenancebot.model import Outcome, Reason, State
from maintenancebot.policy.breakers import (
    CLOSED,
    FLEET,
    Breaker,
    BreakerState,
    Effect,
    Key,
    Scope,
    effect,
    failing,
    learned,
    objection,
    tried,
    untried,
)

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOST, RULE = Key(Scope.HOST, "web-1"), Key(Scope.RULE, "cleanup")
GROUP, ALL = Key(Scope.GROUP, "web"), Key(Scope.FLEET, FLEET)


@dataclass(frozen=True)
class Rules:
    breaker_failures: int = 3
    breaker_hosts: int = 2
    breaker_fleet_hosts: int = 4
    breaker_reset_minutes: int = 60


def bad(host: str, rule: str = "cleanup") -> Effect:
    return Effect(rule, host, ("web",), good=False)


def good(host: str, rule: str = "cleanup") -> Effect:
    return Effect(rule, host, ("web",), good=True)


def after(key: Key, effects: Sequence[Effect], at: datetime = NOON, breaker: Breaker = CLOSED) -> Breaker:
    for number, one in enumerate(effects, 1):
        breaker = learned(key, breaker, one, effects[:number], Rules(), at)
    return breaker


def no(key: Key, breaker: Breaker, host: str = "web-1", at: datetime = NOON) -> str:
    return objection({key: breaker}, host, ("web", "all"), "cleanup", at)


@pytest.mark.parametrize(
    ("key", "effects", "words"),
    [
        (HOST, [bad("web-1")] * 3, "3 times in a row changes went badly on this host"),
        (RULE, [bad("web-2"), bad("web-3")], "cleanup went badly on 2 hosts"),
        (GROUP, [bad("web-2", "verify"), bad("web-3", "monitor")], "changes went badly on 2 hosts of group web"),
        (ALL, [bad(f"h{n}", f"rule-{n}") for n in range(4)], "changes went badly on 4 hosts of the fleet"),
    ],
)
def test_it_opens_at_its_limit_says_why_and_until_when(key: Key, effects: list[Effect], words: str) -> None:
    assert no(key, after(key, effects[:-1])) == ""
    breaker = after(key, effects)
    assert breaker.state(NOON) is BreakerState.OPEN
    assert no(key, breaker) == f"{words}; left alone until 2026-11-21 13:00 UTC"
    assert no(key, breaker, at=NOON + HOUR) == ""


def test_the_same_host_again_is_still_one_host() -> None:
    assert after(RULE, [bad("web-2")] * 9).state(NOON) is BreakerState.CLOSED


def test_a_host_that_went_well_since_does_not_count() -> None:
    effects = [bad("web-2"), good("web-2"), bad("web-3")]
    assert failing(RULE, effects) == 1
    assert after(RULE, effects).state(NOON) is BreakerState.CLOSED


def test_on_one_host_only_failures_in_a_row_count() -> None:
    row = [bad("web-1"), bad("web-1"), good("web-1"), bad("web-1"), bad("web-1")]
    assert after(HOST, row) == Breaker(2)


def test_another_rule_or_group_is_not_held_back() -> None:
    held = {RULE: Breaker(3, NOON + HOUR), GROUP: Breaker(3, NOON + HOUR)}
    assert objection(held, "db-1", ("db",), "verify", NOON) == ""
    assert objection(held, "db-1", ("db",), "cleanup", NOON) != ""
    assert objection(held, "web-9", ("web",), "verify", NOON) != ""


def test_half_open_one_host_tries_and_the_others_wait_for_it() -> None:
    breaker = tried(after(RULE, [bad("web-2"), bad("web-3")]), "web-1", Rules(), NOON + HOUR)
    assert breaker.state(NOON + HOUR) is BreakerState.HALF_OPEN
    assert no(RULE, breaker, "web-1", NOON + HOUR) == ""
    assert no(RULE, breaker, "web-2", NOON + HOUR) == "cleanup went badly on 2 hosts; web-1 tries first"
    assert tried(breaker, "web-2", Rules(), NOON + HOUR) == breaker


def test_a_canary_that_never_told_how_it_went_gives_its_place_to_another() -> None:
    breaker = tried(after(RULE, [bad("web-2"), bad("web-3")]), "web-1", Rules(), NOON + HOUR)
    assert no(RULE, breaker, "web-2", NOON + 2 * HOUR) == ""
    assert tried(breaker, "web-2", Rules(), NOON + 2 * HOUR).trial == "web-2"


@pytest.mark.parametrize("key", [HOST, RULE, GROUP, ALL])
def test_a_good_try_closes_it_and_a_bad_one_opens_it_again_at_once(key: Key) -> None:
    breaker = tried(Breaker(9, NOON), "web-1", Rules(), NOON)
    assert learned(key, breaker, good("web-1"), [good("web-1")], Rules(), NOON) == CLOSED
    again = learned(key, breaker, bad("web-1"), [bad("web-1")], Rules(), NOON)
    assert (again.open_until, again.trial) == (NOON + HOUR, "")


def test_only_the_canary_closes_it() -> None:
    breaker = tried(Breaker(9, NOON), "web-1", Rules(), NOON)
    assert learned(RULE, breaker, good("web-2"), [good("web-2")], Rules(), NOON) == breaker
    assert learned(RULE, Breaker(9, NOON + HOUR), good("web-2"), [], Rules(), NOON) == Breaker(9, NOON + HOUR)


def test_a_canary_that_had_nothing_to_do_leaves_the_try_to_the_next() -> None:
    breaker = tried(Breaker(9, NOON), "web-1", Rules(), NOON)
    assert untried(breaker, "web-2") == breaker
    assert untried(breaker, "web-1") == Breaker(9, NOON)


def test_a_closed_or_open_breaker_has_no_try() -> None:
    for breaker in (CLOSED, Breaker(2), Breaker(3, NOON + HOUR)):
        assert tried(breaker, "web-1", Rules(), NOON) == breaker


def outcome(state: State, reason: Reason = Reason.NONE, *, begun: bool = True) -> Outcome:
    return Outcome("c", state, reason, begun=begun)


FINE = outcome(State.DONE, Reason.VERIFIED)


@pytest.mark.parametrize(
    ("outcomes", "good"),
    [
        ([], None),
        ([outcome(State.NOTHING)], None),
        ([outcome(State.SKIPPED, Reason.CHANGED_SINCE)], None),
        ([FINE], True),
        ([FINE, outcome(State.SKIPPED, Reason.IN_USE)], True),
        ([FINE, outcome(State.FAILED, Reason.WRITE_ERROR)], False),
        ([FINE, outcome(State.UNKNOWN, Reason.LINK_LOST)], False),
        ([outcome(State.DONE, Reason.NO_EFFECT)], False),
        ([outcome(State.DONE, Reason.UNHEALTHY)], False),
        ([outcome(State.SKIPPED, Reason.NOT_ENOUGH)], False),
        ([outcome(State.FAILED, Reason.UNREACHABLE, begun=False)], None),
        ([outcome(State.UNKNOWN, Reason.UNFINISHED)], None),
    ],
)
def test_effects_count_not_errors(outcomes: list[Outcome], good: bool | None) -> None:
    assert effect(outcomes) is good
