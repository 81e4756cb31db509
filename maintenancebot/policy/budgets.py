"""Budgets: how many changes may still be made in this hour and on this day, over the whole fleet."""

from __future__ import annotations

from typing import Protocol


class Limits(Protocol):
    """The most that may be done."""

    @property
    def actions_per_hour(self) -> int: ...
    @property
    def actions_per_day(self) -> int: ...


def left(limits: Limits, *, last_hour: int, last_day: int) -> int:
    """How many more changes both limits allow after what was done; never negative."""
    return max(0, min(limits.actions_per_hour - last_hour, limits.actions_per_day - last_day))
