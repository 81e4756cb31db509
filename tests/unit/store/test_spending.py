"""The book of the model's calls holds over threads, processes and restarts: not one token over."""

import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.policy.spending import Call, Refusal, Silence, Use
from maintenancebot.store import Store
from tests.unit.policy.test_spending import Caps
from tests.unit.store.examples import NOON, later

WIDE = Caps(1000, 100_000, 100_000, 100_000, 100.0, 100.0)

SPENDING = """
import sys
from pathlib import Path
from maintenancebot.store import Store
from tests.unit.store.test_spending import NOON, call, Caps
caps = Caps(1000, 100_000, 5_000, 100_000, 100.0, 100.0)
with Store.open(Path(sys.argv[1]), create=False) as store:
    sys.stdin.readline()
    for _ in range(40):
        number = store.spending.reserve(call(97), caps, at=NOON)
        if isinstance(number, int) and number % 2:
            store.spending.settle(number, 90, 7, 97, at=NOON)
"""


def call(tokens: int, cost: int = 0, purpose: str = "summary") -> Call:
    return Call(purpose, "a-model", "d" * 64, Use(tokens, cost))


def number(store: Store, one: Call, caps: Caps = WIDE, **span: float) -> int:
    got = store.spending.reserve(one, caps, at=later(**span))
    assert isinstance(got, int), got
    return got


def test_what_is_reserved_counts_until_it_is_settled(store: Store) -> None:
    first = number(store, call(100, 40))
    assert store.spending.used(NOON)["hour"] == Use(100, 40)
    store.spending.settle(first, 30, 5, 12, at=NOON)
    assert store.spending.used(NOON)["hour"] == Use(35, 12)


def test_a_lost_call_counts_as_all_that_it_may_have_used(store: Store) -> None:
    store.spending.lose(number(store, call(100, 40)), Silence.LATE, at=NOON)
    assert store.spending.used(NOON)["month"] == Use(100, 40)


def test_a_refused_call_used_nothing(store: Store) -> None:
    store.spending.settle(number(store, call(100, 40)), 0, 0, 0, at=NOON, reason=Silence.KEY_REFUSED)
    assert store.spending.used(NOON)["month"] == Use()


def test_what_is_settled_once_is_not_settled_again(store: Store) -> None:
    first = number(store, call(100))
    store.spending.settle(first, 30, 5, 12, at=NOON)
    store.spending.lose(first, Silence.LATE, at=NOON)
    assert store.spending.used(NOON)["hour"] == Use(35, 12)


def test_what_an_endpoint_counts_above_the_reserve_stands_in_the_book(store: Store) -> None:
    store.spending.settle(number(store, call(100)), 300, 5, 12, at=NOON)
    assert store.spending.used(NOON)["hour"].tokens == 305


def test_it_slides_by_hour_day_and_month_and_outlives_restarts(state: Path) -> None:
    with Store.open(state, create=True) as store:
        number(store, call(100))
    with Store.open(state, create=True) as store:
        for span, expected in (
            ({"minutes": 59}, [100, 100, 100]),
            ({"minutes": 60}, [0, 100, 100]),
            ({"hours": 24}, [0, 0, 100]),
            ({"days": 30}, [0, 0, 0]),
        ):
            assert [one.tokens for one in store.spending.used(later(**span)).values()] == expected


def test_a_clock_that_was_set_back_frees_nothing(store: Store) -> None:
    number(store, call(100), hours=5)
    assert store.spending.used(NOON)["hour"].tokens == 100


def test_the_refusal_says_which_cap(store: Store) -> None:
    caps = Caps(tokens_per_hour=150)
    number(store, call(100), caps)
    refusal = store.spending.reserve(call(60), caps, at=NOON)
    assert refusal == Refusal(Silence.BUDGET_SPENT, "100 of 150 tokens of the hour are used")


def test_the_breaker_opens_tries_once_and_closes(store: Store) -> None:
    for _ in range(3):
        store.spending.lose(number(store, call(1)), Silence.LATE, at=NOON)
    assert isinstance(store.spending.reserve(call(1), WIDE, at=later(minutes=14)), Refusal)
    trial = number(store, call(1), minutes=15)
    refusal = store.spending.reserve(call(1), WIDE, at=later(minutes=15, seconds=1))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Silence.BREAKER_OPEN
    store.spending.settle(trial, 1, 0, 1, at=later(minutes=16))
    number(store, call(1), minutes=16)


def test_a_clock_that_was_set_back_does_not_leave_the_endpoint_alone_for_years(store: Store) -> None:
    for _ in range(3):
        store.spending.lose(number(store, call(1), days=900), Silence.LATE, at=later(days=900))
    store.spending.lose(number(store, call(1)), Silence.LATE, at=NOON)
    assert isinstance(store.spending.reserve(call(1), WIDE, at=later(minutes=14)), Refusal)
    store.spending.settle(number(store, call(1), minutes=15), 1, 0, 1, at=later(minutes=15))
    trial, asked = number(store, call(1), days=800), later(days=800, hours=1)
    store.spending.settle(trial, 0, 0, 0, at=later(days=800), reason=Silence.RATE_LIMITED, not_before=asked)
    number(store, call(1), days=1)


def test_a_rest_that_is_asked_for_holds_an_hour_at_the_most(store: Store) -> None:
    asked = later(days=400)
    store.spending.settle(number(store, call(1)), 0, 0, 0, at=NOON, reason=Silence.RATE_LIMITED, not_before=asked)
    assert isinstance(store.spending.reserve(call(1), WIDE, at=later(minutes=59)), Refusal)
    number(store, call(1), minutes=60)


def test_a_week_and_all_totals(store: Store) -> None:
    store.spending.settle(number(store, call(100, 9)), 10, 5, 3, at=NOON)
    store.spending.lose(number(store, call(50, 4, "ranking"), hours=2), Silence.LATE, at=later(hours=2))
    number(store, call(7, 1, "ranking"), hours=3)
    assert store.spending.between(NOON, later(hours=2)) == Use(15, 3)
    assert store.spending.between(NOON, later(hours=9)) == Use(72, 8)
    totals = store.spending.totals()
    assert totals["summary"].use == Use(15, 3)
    assert totals["summary"].calls == {"": 1}
    assert totals["ranking"].use == Use(57, 5)
    assert totals["ranking"].calls == {"late": 1}


def test_the_same_question_has_the_same_answer(store: Store) -> None:
    assert store.spending.answer("d") is None
    store.spending.remember("d", {"text": "x\udcff"}, at=NOON)
    store.spending.remember("d", {"text": "y"}, at=later(days=1))
    assert store.spending.answer("d") == {"text": "y"}
    store.spending.remember("e", {}, at=later(days=92))
    assert store.spending.answer("d") is None


def test_nothing_is_reserved_where_the_state_is_only_read(state: Path, store: Store) -> None:
    with Store.open_readonly(state) as readonly, pytest.raises(StoreError):
        readonly.spending.reserve(call(1), WIDE, at=NOON)


def test_fifty_threads_get_what_there_is_and_no_token_more(store: Store) -> None:
    caps = Caps(1000, 100_000, 1_000, 100_000, 100.0, 100.0)
    got: list[int | Refusal] = []

    def spend() -> None:
        for _ in range(4):
            got.append(store.spending.reserve(call(33), caps, at=NOON))

    threads = [threading.Thread(target=spend) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 200
    assert sum(isinstance(one, int) for one in got) == 30
    assert store.spending.used(NOON)["day"].tokens == 990


def test_three_processes_get_what_there_is_and_no_token_more(state: Path, store: Store) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", SPENDING, str(state)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate(timeout=120)[1] for child in children] == ["", "", ""]
    assert store.spending.used(NOON + timedelta(seconds=1))["day"].tokens == 51 * 97
