"""Deliveries: one process at a time has a message for a target, and a try is known of whatever ends it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from maintenancebot.store import Store
from maintenancebot.store.deliveries import Delivery, DeliveryState
from tests.unit.store.examples import NOON, ODD, later


def put(store: Store, *keys: str) -> None:
    for key in keys:
        store.messages.put(key, "escalated", {"name": ODD}, at=NOON)


def claim(store: Store, target: str = "slack", minutes: int = 0) -> Delivery:
    found = store.deliveries.claim(target, at=later(minutes=minutes))
    assert found is not None
    return found


def test_each_target_has_each_message_once_in_order(store: Store) -> None:
    put(store, "a", "b")
    for target in ("slack", "email"):
        for key in ("a", "b"):
            found = claim(store, target)
            assert (found.message.key, found.message.body, found.tries) == (key, {"name": ODD}, 0)
            store.deliveries.settle(found, DeliveryState.SENT, at=NOON)
        assert store.deliveries.claim(target, at=NOON) is None


def test_what_one_tries_nobody_else_gets(state: Path) -> None:
    with Store.open(state, create=True) as one, Store.open(state, create=False) as other:
        put(one, *map(str, range(20)))

        def claims(number: int) -> Delivery | None:
            return (one, other)[number % 2].deliveries.claim("slack", at=NOON)

        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(claims, range(40)))
    keys = [one.message.key for one in found if one is not None]
    assert sorted(keys, key=int) == [str(number) for number in range(20)]


def test_a_target_that_put_one_off_rests_for_all(store: Store) -> None:
    put(store, "a", "b")
    store.deliveries.settle(claim(store), DeliveryState.WAITING, at=NOON, next_at=later(minutes=5), detail="429")
    assert store.deliveries.claim("slack", at=later(minutes=4)) is None
    assert store.deliveries.held_up(["slack", "email"]) == {"slack": "429"}
    assert claim(store, "email").message.key == "a"


def test_one_that_is_never_taken_does_not_hold_the_others(store: Store) -> None:
    put(store, "a", "b")
    store.deliveries.settle(claim(store), DeliveryState.WAITING, at=NOON, next_at=later(minutes=5))
    second = claim(store, minutes=5)
    assert (second.message.key, second.tries) == ("b", 0)
    store.deliveries.settle(second, DeliveryState.SENT, at=later(minutes=5))
    again = claim(store, minutes=5)
    assert (again.message.key, again.tries, again.is_unclear) == ("a", 1, False)
    assert store.deliveries.held_up(["slack"]) == {}


def test_what_may_be_there_is_handed_out_as_such_with_what_was_left_there(store: Store) -> None:
    put(store, "a")
    store.deliveries.settle(claim(store), DeliveryState.UNCLEAR, at=NOON, reference={"ts": "1.2"})
    found = claim(store, minutes=1)
    assert (found.is_unclear, found.tried_at, found.reference, found.known) == (True, NOON, {"ts": "1.2"}, None)


def test_what_the_last_message_left_there_is_known(store: Store) -> None:
    put(store, "a", "b")
    store.deliveries.settle(claim(store), DeliveryState.SENT, at=NOON, reference={"channel": "C1"})
    assert claim(store).known == {"channel": "C1"}


def test_a_try_of_a_process_that_ended_may_have_arrived(state: Path) -> None:
    with Store.open(state, create=True) as store:
        put(store, "a")
        program = (
            "import sys; from pathlib import Path; from datetime import datetime\n"
            "from maintenancebot.store import Store\n"
            "store = Store.open(Path(sys.argv[1]), create=False)\n"
            "assert store.deliveries.claim('slack', at=datetime.fromisoformat(sys.argv[2]))\n"
            "import os; os._exit(9)"
        )
        ended = subprocess.run([sys.executable, "-c", program, str(state), NOON.isoformat()], check=False)
        assert ended.returncode == 9
        found = claim(store, minutes=1)
        assert (found.tries, found.is_unclear, found.tried_at) == (1, True, NOON)


def test_a_clock_that_is_set_back_holds_nothing_up_for_long(store: Store) -> None:
    put(store, "a")
    store.deliveries.settle(claim(store), DeliveryState.WAITING, at=NOON, next_at=later(days=400))
    assert store.deliveries.claim("slack", at=NOON + timedelta(seconds=1)) is not None


@pytest.mark.parametrize("end", [DeliveryState.LOST, DeliveryState.GIVEN_UP])
def test_what_is_over_at_every_target_waits_no_longer(store: Store, end: DeliveryState) -> None:
    put(store, "a", "b")
    store.deliveries.settle(claim(store), end, at=NOON)
    store.messages.close(["slack", "log"], NOON)
    assert len(store.messages.waiting(10)) == 2
    store.deliveries.settle(claim(store, "log"), DeliveryState.SENT, at=NOON)
    store.messages.close(["slack", "log"], NOON)
    assert [one.key for one in store.messages.waiting(10)] == ["b"]


def test_a_target_that_comes_later_gets_what_waits_and_not_what_is_over(store: Store) -> None:
    put(store, "old", "new")
    store.deliveries.settle(claim(store, "log"), DeliveryState.SENT, at=NOON)
    store.messages.close(["log"], NOON)
    assert claim(store).message.key == "new"
    assert store.deliveries.claim("slack", at=NOON) is None


def test_a_review_is_kept_once_for_each_person(store: Store) -> None:
    for by in ("anna", "bert", "anna"):
        store.reviews.record("2026-W47", by, at=NOON)
    assert [one.by for one in store.reviews.of("2026-W47")] == ["anna", "bert"]
    assert store.reviews.of("2026-W46") == []
    assert store.audit.verify().rows == 2


def test_keys_of_any_length_are_told_apart(store: Store) -> None:
    put(store, "x" * 300 + "a", "x" * 300 + "b", "x" * 300 + "a")
    keys = [one.key for one in store.messages.waiting(10)]
    assert [len(key) for key in keys] == [128, 128]
    assert len(set(keys)) == 2


def test_a_key_that_is_no_text_is_kept_once(store: Store) -> None:
    put(store, "contested:/srv/\udcff\ud800", "contested:/srv/\udcff\ud800")
    assert [one.key for one in store.messages.waiting(10)] == ["contested:/srv/\\udcff\\ud800"]
