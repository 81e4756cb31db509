from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenancebot.policy.spending import REST, Ended, Refusal, Silence, Use, left, over_budget, resting, use

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Caps:
    tokens_per_call: int = 100
    tokens_per_hour: int = 200
    tokens_per_day: int = 300
    tokens_per_month: int = 400
    dollars_per_day: float = 1.0
    dollars_per_month: float = 2.0


@dataclass(frozen=True)
class Prices:
    input: float = 1.0
    output: float = 5.0


def used(hour: Use = Use(), day: Use = Use(), month: Use = Use()) -> dict[str, Use]:  # noqa: B008
    return {"hour": hour, "day": day, "month": month}


def test_a_million_tokens_cost_their_price_and_parts_are_rounded_up() -> None:
    assert use(Prices(), 1_000_000, 0).dollars == 1.0
    assert use(Prices(), 0, 1_000_000).dollars == 5.0
    assert use(Prices(input=0.3), 1, 0) == Use(1, 1)


@pytest.mark.parametrize(
    ("before", "wanted", "told"),
    [
        (used(), Use(100), ""),
        (used(), Use(101), "the call may need 101 tokens, and 100 are allowed for one"),
        (used(hour=Use(100)), Use(100), ""),
        (used(hour=Use(101)), Use(100), "101 of 200 tokens of the hour are used"),
        (used(day=Use(201)), Use(100), "201 of 300 tokens of the day are used"),
        (used(month=Use(301)), Use(100), "301 of 400 tokens of the month are used"),
        (used(hour=Use(0, 9_000_000)), Use(1, 1_000_000), ""),
        (used(day=Use(0, 1)), Use(1, 1_000_000), "0.0000 of 1.00 dollars of the day are used"),
        (used(month=Use(0, 1_500_000)), Use(1, 500_001), "1.5000 of 2.00 dollars of the month are used"),
    ],
)
def test_each_cap_holds_to_the_token_and_to_the_millionth_of_a_dollar(
    before: dict[str, Use], wanted: Use, told: str
) -> None:
    assert over_budget(Caps(), before, wanted) == told


@pytest.mark.parametrize(("price", "tokens", "cost"), [(1.1, 100, 110), (1.1, 1, 2), (0.07, 100, 7), (4.35, 100, 435)])
def test_a_cost_is_exact_whatever_the_price_is_in_binary(price: float, tokens: int, cost: int) -> None:
    assert use(Prices(input=price), tokens, 0) == Use(tokens, cost)
    assert use(Prices(output=price), 0, tokens) == Use(tokens, cost)


@pytest.mark.parametrize(("dollars", "cost"), [(8.2, 8_200_000), (1.001, 1_001_000), (0.000001, 1)])
def test_a_cap_in_dollars_is_exactly_what_is_written(dollars: float, cost: int) -> None:
    caps = Caps(dollars_per_day=dollars, dollars_per_month=100.0)
    assert left(caps, used())["day"].cost == cost
    assert over_budget(caps, used(), Use(1, cost)) == ""
    assert over_budget(caps, used(), Use(1, cost + 1)) != ""


def test_what_is_left_is_never_negative() -> None:
    rest = left(Caps(), used(hour=Use(500), day=Use(10, 250_000), month=Use(10, 9_000_000)))
    assert [(one.tokens, one.cost) for one in rest.values()] == [(0, None), (290, 750_000), (390, 0)]


def ended(*reasons: Silence, minutes_ago: float = 1) -> list[Ended]:
    return [Ended(NOON - timedelta(minutes=minutes_ago), reason) for reason in reasons]


BAD, GOOD = Silence.ENDPOINT_FAILED, Silence.NONE


def test_three_faults_in_a_row_open_the_breaker() -> None:
    assert resting(ended(BAD, BAD), None, NOON) is None
    assert resting(ended(BAD, BAD, GOOD), None, NOON) is None
    refusal = resting(ended(BAD, Silence.LATE, Silence.KEY_REFUSED), None, NOON)
    assert refusal == Refusal(
        Silence.BREAKER_OPEN, "3 calls in a row failed; left alone until 2026-11-21 12:14:00+00:00"
    )


def test_after_its_rest_one_call_tries() -> None:
    failed = ended(BAD, BAD, BAD, minutes_ago=REST.total_seconds() / 60)
    assert resting(failed, None, NOON) is None
    refusal = resting(failed, NOON - timedelta(seconds=5), NOON)
    assert refusal is not None
    assert refusal.reason is Silence.BREAKER_OPEN
    assert resting(failed, NOON - REST, NOON) is None  # that one never told


def test_an_untrue_answer_is_no_fault_of_the_endpoint() -> None:
    assert resting(ended(Silence.NOT_TRUE, Silence.UNUSABLE, Silence.NOT_TRUE), None, NOON) is None


def test_an_endpoint_that_wants_to_be_left_alone_is_but_not_for_ever() -> None:
    asked = [Ended(NOON, Silence.RATE_LIMITED, NOON + timedelta(minutes=5))]
    refusal = resting(asked, None, NOON)
    assert refusal is not None
    assert refusal.reason is Silence.LEFT_ALONE
    assert resting(asked, None, NOON + timedelta(minutes=5)) is None


@pytest.mark.parametrize("silence", [one for one in Silence if one])
def test_every_reason_for_silence_is_documented(silence: Silence) -> None:
    page = (Path(__file__).parents[3] / "docs" / "summary.md").read_text("utf-8")
    assert f"`{silence}`" in page.split("## The model")[1]
