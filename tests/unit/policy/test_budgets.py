from dataclasses import dataclass

import pytest

from maintenancebot.policy.budgets import left


@dataclass(frozen=True)
class Limits:
    actions_per_hour: int = 10
    actions_per_day: int = 100


@pytest.mark.parametrize(
    ("hour", "day", "expected"), [(0, 0, 10), (4, 4, 6), (0, 95, 5), (10, 10, 0), (0, 100, 0), (50, 500, 0)]
)
def test_the_smaller_rest_counts_and_it_is_never_negative(hour: int, day: int, expected: int) -> None:
    assert left(Limits(), last_hour=hour, last_day=day) == expected
