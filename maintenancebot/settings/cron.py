"""Standard cron expressions: five fields or an alias, checked field by field, in the form that cronsim reads."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from maintenancebot.settings.refused import RefusedError

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")

FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 7, DAYS),
)
"""Name, lowest and highest number, and words of each field; 0 and 7 are both Sunday."""


def standard(expression: str) -> str:
    """Five fields for an expression or alias; raises RefusedError that names the bad field."""
    words = ALIASES.get(expression.strip().lower(), expression).upper().split()
    if expression.strip().startswith("@") and len(words) == 1:
        raise RefusedError(f"{expression!r} is no alias for a time", f"write one of {', '.join(sorted(ALIASES))}")
    if len(words) != len(FIELDS):
        raise RefusedError(
            f"{expression!r} has {len(words)} fields; cron has five: minute, hour, day of month, month, day of week",
            'write for instance "0 3 * * 0" for Sunday 03:00',
        )
    for word, field in zip(words, FIELDS, strict=True):
        for term in word.split(","):
            _check_term(term, *field)
    five = " ".join(words)
    _check_ever(five)
    return five


def _check_term(term: str, name: str, low: int, high: int, names: tuple[str, ...]) -> None:
    fault = RefusedError(
        f"the field {name} cannot be {term!r}",
        f"write *, a number from {low} to {high}, a range such as {low}-{high}, or a step such as */2",
    )
    match = re.fullmatch(r"(?:(\*)|([0-9A-Z]+)(?:-([0-9A-Z]+))?)(?:/([0-9]{1,2}))?", term)
    if not match:
        raise fault
    star, first, last, step = match.groups()
    if step is not None and (int(step) == 0 or not (star or last)):
        raise fault
    if star:
        return
    start, end = _number(first, low, names), _number(last or first, low, names)
    if start is None or end is None or not low <= start <= end <= high:
        raise fault


def _number(word: str, low: int, names: tuple[str, ...]) -> int | None:
    if word in names:
        return names.index(word) + low
    return int(word) if re.fullmatch("[0-9]{1,2}", word) else None


def _check_ever(five: str) -> None:
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(five, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        raise RefusedError(f"{five!r} never comes: no such day exists", "correct day of month or month") from None
