"""How fast a file system fills up, from what was seen of it at earlier looks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maintenancebot.model import Json

EVERY_SECONDS = 30 * 60
MOST = 100
SPAN_SECONDS = 7 * 86400
"""What is older says little of how it grows now."""

DAY = 86400


@dataclass(frozen=True)
class Sample:
    """What was seen of a mount at one look."""

    at: float  # seconds since the epoch
    used: int
    total: int
    inodes_used: int


def samples(row: Json) -> list[Sample]:
    """The samples of a row as it is kept; what is not as agreed is left out."""
    kept = row if isinstance(row, list) else []
    return [Sample(*one) for one in kept if isinstance(one, list) and len(one) == 4 and all(map(_is_number, one))]


def with_sample(row: Json, sample: Sample) -> list[list[float]]:
    """The row with one more sample: at most one in half an hour, and the newest hundred."""
    known = [one for one in samples(row) if one.at <= sample.at]
    if not known or sample.at - known[-1].at >= EVERY_SECONDS:
        known.append(sample)
    return [[one.at, one.used, one.total, one.inodes_used] for one in known[-MOST:]]


def bytes_a_day(known: Sequence[Sample]) -> float | None:
    """How many bytes it grows a day, by the straight line that fits best; None from fewer than two looks."""
    recent = [one for one in known if known[-1].at - one.at <= SPAN_SECONDS] if known else []
    if len(recent) < 2 or recent[-1].at <= recent[0].at:
        return None
    middle = sum(one.at for one in recent) / len(recent)
    level = sum(one.used for one in recent) / len(recent)
    rise = sum((one.at - middle) * (one.used - level) for one in recent)
    return rise / sum((one.at - middle) ** 2 for one in recent) * DAY


def hours_until_full(known: Sequence[Sample], available: int) -> float | None:
    """When nothing is available any more if it goes on so; None while it does not grow, or nobody knows."""
    rate = bytes_a_day(known)
    return available / rate * 24 if rate is not None and rate > 0 else None


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
