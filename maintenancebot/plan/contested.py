"""What earlier corrections say about the next one: no fights, and nothing that went wrong at once again. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from maintenancebot.model import Json
from maintenancebot.plan.document import canonical
from maintenancebot.settings import Correction

REMEMBERED = timedelta(days=1)
"""How long a correction counts."""


@dataclass(frozen=True)
class Contest:
    """Why an item is not corrected now, and when it was within a day."""

    words: str
    corrections: tuple[float, ...]


def effect(wanted: Mapping[str, Json], found: Mapping[str, Json]) -> dict[str, Json]:
    """What a correction replaces, value by value, and what it installs; digests, since values may be long."""
    differing = {key: found.get(key) for key in wanted if key != "size" and found.get(key) != wanted[key]}
    return {"from": {key: _digest(value) for key, value in differing.items()}, "to": _digest(dict(wanted))}


def contest(earlier: Sequence[Correction], planned: Mapping[str, Json], limit: int) -> Contest | None:
    """Whether somebody undid a correction, or there were as many in a day as may be; `planned` is the next one."""
    held = [one for one in earlier if one.held]
    at = tuple(one.at.timestamp() for one in held)
    if any(_is_back(one.replaced, planned["from"]) for one in held):
        return Contest("what was replaced is back", at)
    if len(held) >= limit:
        return Contest(f"corrected {len(held)} times within 24 hours, and differs again", at)
    return None


def failed_before(earlier: Sequence[Correction], planned: Mapping[str, Json]) -> Correction | None:
    """An earlier try to install the same when it went wrong within a day, or nobody knows what became of it.

    Whatever lies there by now: who writes ever new values would be fought on each run.
    """
    return next((one for one in earlier if not one.held and one.installed == planned["to"]), None)


def _is_back(before: Mapping[str, Json], now: Mapping[str, Json]) -> bool:
    """Whether one of the values is there again that was replaced."""
    return any(now.get(key) == value for key, value in before.items())


def _digest(value: Json) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:16]
