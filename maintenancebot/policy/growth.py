"""How fast a file system fills up, from what was seen of it at earlier looks. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from maintenancebot.model import Json

EVERY_SECONDS = 30 * 60
MOST = 100
SPAN_SECONDS = 7 * 86400
"""What is older says little of how it grows now."""

FORECAST_SECONDS = 28 * 86400
"""A forecast of days looks back further: a fleet that is looked at once a week has few samples."""

MOST_BYTES = 2**63
"""No file system holds more; a larger figure is none."""

DAY = 86400
SURE = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""By how many standard errors a rate may be off, 19 times of 20, with 1, 2, … samples more than two; then 2."""


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
    rate = _rate(_recent(known, SPAN_SECONDS))
    return None if rate is None else rate * DAY


def hours_until_full(known: Sequence[Sample], available: int) -> float | None:
    """When nothing is available any more if it goes on so; None while it does not grow, or nobody knows."""
    rate = bytes_a_day(known)
    return available / rate * 24 if rate is not None and rate > 0 else None


@dataclass(frozen=True)
class Estimate:
    """In how many days a mount will be full, and between which bounds; None is never, as far as can be seen."""

    days: float | None
    soonest: float | None
    latest: float | None


def forecast(known: Sequence[Sample]) -> Estimate | None:
    """When a mount will be full by the straight line that fits best; None when two looks or less say too little."""
    recent = _recent(known, FORECAST_SECONDS)
    rate, error = _rate(recent), _rate_error(recent)
    if rate is None or error is None:
        return None
    left = max(0, recent[-1].total - recent[-1].used)
    return Estimate(_days(left, rate), _days(left, rate + error), _days(left, rate - error))


def _recent(known: Sequence[Sample], seconds: float) -> list[Sample]:
    return [one for one in known if known[-1].at - one.at <= seconds]


def _rate(known: Sequence[Sample]) -> float | None:
    """Bytes in a second, by least squares; None where all samples are of one instant."""
    if len(known) < 2 or known[-1].at <= known[0].at:
        return None
    points = _points(known)
    return sum(at * used for at, used in points) / sum(at**2 for at, _ in points)


def _rate_error(known: Sequence[Sample]) -> float | None:
    """By how much the rate may be wrong, 19 times of 20; None from fewer than three samples."""
    rate, freedom = _rate(known), len(known) - 2
    if rate is None or freedom < 1:
        return None
    points = _points(known)
    off = sum((used - rate * at) ** 2 for at, used in points)
    error = math.sqrt(off / freedom / sum(at**2 for at, _ in points))
    return error * (SURE[freedom - 1] if freedom <= len(SURE) else 2.0)


def _points(known: Sequence[Sample]) -> list[tuple[float, float]]:
    """Time and use of each sample, as distances from their means; from the first one on, so that they are exact."""
    ats, uses = [one.at - known[0].at for one in known], [one.used - known[0].used for one in known]
    middle, level = sum(ats) / len(ats), sum(uses) / len(uses)
    return [(at - middle, used - level) for at, used in zip(ats, uses, strict=True)]


def _days(left: int, rate: float) -> float | None:
    return left / rate / DAY if rate > 0 else None


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -MOST_BYTES < value < MOST_BYTES
