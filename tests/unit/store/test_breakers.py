"""Breakers over restarts: the state is opened anew before each step."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from maintenancebot.policy.breakers import CLOSED, BreakerState, Key, Scope
from maintenancebot.store import Store
from maintenancebot.store.breakers import Breakers
from tests.unit.store.examples import NOON, RUN, later

RULE = Key(Scope.RULE, "cleanup")


@dataclass(frozen=True)
class Rules:
    breaker_failures: int = 2
    breaker_hosts: int = 3
    breaker_fleet_hosts: int = 4
    breaker_reset_minutes: int = 60


class Restarted:
    """Each call goes to a process that has just begun."""

    def __init__(self, state: Path) -> None:
        self._state = state

    @contextmanager
    def _breakers(self) -> Iterator[Breakers]:
        with Store.open(self._state, create=True) as store:
            yield store.breakers

    def learn(self, host: str, at: datetime, **made: bool | None) -> list[tuple[str, str]]:
        with self._breakers() as breakers:
            changed = breakers.learn(RUN, host, ("web",), made, rules=Rules(), at=at)
        return [(one.key.scope.value, one.after.value) for one in changed]

    def held(self, host: str, at: datetime, rule: str = "cleanup") -> str:
        with self._breakers() as breakers:
            held, _ = breakers.admit(RUN, host, ("web",), [rule], rules=Rules(), at=at)
        return held.get(rule, "")

    def state(self, key: Key, at: datetime) -> BreakerState:
        with self._breakers() as breakers:
            return breakers.all().get(key, CLOSED).state(at)

    def rows(self) -> int:
        with Store.open(self._state, create=True) as store:
            verdict = store.audit.verify()
        assert verdict.ok
        return verdict.rows


@pytest.fixture
def bot(state: Path) -> Restarted:
    return Restarted(state)


def test_a_host_is_left_alone_then_tries_and_is_well_again(bot: Restarted) -> None:
    key = Key(Scope.HOST, "web-1")
    assert bot.learn("web-1", NOON, cleanup=False) == []
    assert bot.rows() == 0
    assert bot.learn("web-1", NOON, verify=False) == [("host", "open")]
    assert "2 times in a row" in bot.held("web-1", later(minutes=59))
    assert bot.held("web-2", NOON) == ""
    assert bot.held("web-1", later(minutes=60)) == ""
    assert bot.learn("web-1", later(minutes=61), cleanup=True) == [("host", "closed")]
    assert (bot.state(key, later(minutes=62)), bot.rows()) == (BreakerState.CLOSED, 3)


def test_a_rule_that_went_badly_on_several_hosts_is_tried_on_one_before_the_others(bot: Restarted) -> None:
    opened = [bot.learn(f"web-{n}", later(minutes=n), cleanup=False) for n in range(3)]
    assert opened == [[], [], [("rule", "open"), ("group", "open")]]
    assert bot.held("web-7", later(minutes=61)) != ""
    half_open = later(minutes=62)
    assert bot.held("web-7", half_open) == ""
    assert "web-7 tries first" in bot.held("web-8", half_open)
    assert bot.held("web-7", half_open) == "", "the canary itself may be asked again"
    assert bot.learn("web-7", later(minutes=63), cleanup=True) == [("rule", "closed"), ("group", "closed")]
    assert bot.held("web-8", later(minutes=63)) == ""


def test_a_bad_canary_holds_the_others_back_for_another_while(bot: Restarted) -> None:
    for n in range(3):
        bot.learn(f"web-{n}", NOON, cleanup=False)
    assert bot.held("web-7", later(minutes=60)) == ""
    assert ("rule", "open") in bot.learn("web-7", later(minutes=61), cleanup=False)
    assert bot.held("web-8", later(minutes=120)) != ""
    assert bot.held("web-8", later(minutes=121)) == ""


def test_a_canary_with_nothing_to_do_gives_its_place_away(bot: Restarted) -> None:
    for n in range(3):
        bot.learn(f"web-{n}", NOON, cleanup=False)
    assert bot.held("web-7", later(minutes=60)) == ""
    bot.learn("web-7", later(minutes=60), cleanup=None)
    assert bot.held("web-8", later(minutes=60)) == ""


def test_old_effects_do_not_count(bot: Restarted) -> None:
    for n in range(3):
        bot.learn(f"web-{n}", later(minutes=31 * n), cleanup=False)
    assert bot.state(RULE, later(minutes=62)) is BreakerState.CLOSED


def test_the_fleet_is_held_back_whatever_the_rule(bot: Restarted) -> None:
    for n, rule in enumerate(("cleanup", "verify", "monitor", "docker_prune")):
        with Store.open(bot._state, create=True) as store:
            store.breakers.learn(RUN, f"h{n}", (f"g{n}",), {rule: False}, rules=Rules(), at=NOON)
    assert "4 hosts of the fleet" in bot.held("web-1", NOON, "package_update")


def test_work_that_did_both_good_and_harm_is_no_good_work(bot: Restarted) -> None:
    for _ in range(2):
        bot.learn("web-1", NOON, cleanup=True, package_update=False)
    assert "2 times in a row" in bot.held("web-1", NOON)


@pytest.mark.parametrize("keys", [None, [RULE]])
def test_a_person_closes_it_and_what_was_counted_is_forgotten(
    bot: Restarted, state: Path, keys: list[Key] | None
) -> None:
    for n in range(3):
        with Store.open(state, create=True) as store:
            store.breakers.learn(RUN, f"h{n}", (), {"cleanup": False}, rules=Rules(), at=NOON)
    assert bot.held("h9", NOON) != ""
    with Store.open(state, create=True) as store:
        assert RULE in store.breakers.reset(keys, "ann", at=NOON)
    assert bot.held("h9", NOON) == ""
    assert bot.learn("h9", NOON, cleanup=False) == []
