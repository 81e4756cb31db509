"""When a renewal that failed may be tried again: authorities limit failed tries, and each look would be one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

WAITS = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""After the first failed try, the second, and each further one: never more than three tries in a day."""


def next_try(tries: Sequence[float]) -> datetime | None:
    """The earliest time of the next try after these failed ones in a row, oldest first; None for at once."""
    if not tries:
        return None
    wait = WAITS[min(len(tries), len(WAITS)) - 1]
    return datetime.fromtimestamp(tries[-1], UTC) + wait
