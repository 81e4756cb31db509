from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from maintenancebot.policy.breakers import CLOSED, Breaker, BreakerState, after_run, objection

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Rules:
    breaker_failures: int = 3
    breaker_reset_minutes: int = 60


def after(*failed: bool, at: datetime = NOON) -> Breaker:
    breaker = CLOSED
    for one in failed:
        breaker = after_run(breaker, failed=one, rules=Rules(), at=at)
    return breaker


def test_a_breaker_stays_closed_below_the_limit() -> None:
    assert after(True, True).state(NOON) is BreakerState.CLOSED
    assert objection(after(True, True), NOON) == ""


def test_it_opens_at_the_limit_and_says_until_when() -> None:
    assert after(True, True, True).state(NOON) is BreakerState.OPEN
    assert (
        objection(after(True, True, True), NOON)
        == "3 runs in a row failed on this host; left alone until 2026-11-21 13:00 UTC"
    )


def test_only_failures_in_a_row_count() -> None:
    assert after(True, True, False, True, True).state(NOON) is BreakerState.CLOSED


def test_after_its_time_it_is_half_open_and_lets_one_run_try() -> None:
    breaker = after(True, True, True)
    assert breaker.state(NOON + HOUR - timedelta(microseconds=1)) is BreakerState.OPEN
    assert breaker.state(NOON + HOUR) is BreakerState.HALF_OPEN
    assert objection(breaker, NOON + HOUR) == ""


def test_a_failed_try_opens_it_again_at_once() -> None:
    again = after_run(after(True, True, True), failed=True, rules=Rules(), at=NOON + HOUR)
    assert again == Breaker(4, NOON + 2 * HOUR)


def test_a_good_try_closes_it() -> None:
    assert after_run(after(True, True, True), failed=False, rules=Rules(), at=NOON + HOUR) == CLOSED


def test_a_limit_of_one_opens_at_the_first_failure() -> None:
    assert after_run(CLOSED, failed=True, rules=Rules(breaker_failures=1), at=NOON).state(NOON) is BreakerState.OPEN
