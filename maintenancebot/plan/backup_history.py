"""What earlier looks at a backup saw, and whether the newest copy is like those before it. Pure.

A copy is compared with the median of those before it. What shrank for good becomes the norm once half of the copies
that are remembered are like it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from maintenancebot.model import Json

KEPT = 30
COUNTS = 10
DAY = 86_400
COVERED_DAYS = 30
ENOUGH = 3
"""Fewer copies than that are compared only roughly."""

ROUGHLY = 0.1
SHARES = {"size": 0.3, "entries": 0.5}
"""A copy with less than that share of the median is not plausible."""

GROWN = 5
"""A copy that is so many times the median is worth a note."""

UNITS = {"size": "bytes", "entries": "entries"}


@dataclass(frozen=True)
class Comparison:
    """What a comparison came to: what is implausible, what a person may want to know, with how many it was compared."""

    fault: str = ""
    notes: tuple[str, ...] = ()
    compared: int = 0
    facts: Mapping[str, Json] = field(default_factory=dict)


def with_look(row: Mapping[str, Json] | None, data: Mapping[str, Json], at: float) -> dict[str, Json]:
    """The history of a source after a look at it."""
    known = row or {}
    found: dict[str, Json] = {"copies": list(known.get("copies", [])), "counts": list(known.get("counts", []))}
    found["parts"] = _parts(known.get("parts") or {}, data, at)
    copy = copy_of(data)
    if copy and data.get("verdict") == "ok":
        others = [one for one in found["copies"] if one["id"] != copy["id"]]
        found["copies"] = sorted([*others, copy], key=lambda one: (one["time"], one["id"]))[-KEPT:]
    if isinstance(data.get("count"), int):
        found["counts"] = [*found["counts"], data["count"]][-COUNTS:]
    return found


def copy_of(data: Mapping[str, Json]) -> dict[str, Json]:
    """The copy that a look judged, empty when there was none."""
    evidence = data.get("evidence") or {}
    if not isinstance(evidence.get("time"), int | float):
        return {}
    copy: dict[str, Json] = {"id": _id(evidence), "time": int(evidence["time"]), "level": str(data.get("level", ""))}
    copy["series"] = str(evidence.get("series", ""))
    return copy | {key: evidence[key] for key in SHARES if _is_number(evidence.get(key))}


def compare(row: Mapping[str, Json] | None, data: Mapping[str, Json]) -> Comparison:
    """The newest copy beside those before it: the remembered ones, and those that still lie there."""
    copy, known = copy_of(data), row or {}
    if not copy:
        return Comparison()
    before = [one for one in known.get("copies", []) if one["id"] != copy["id"] and one["series"] == copy["series"]]
    times = {one["time"] for one in before}
    before += [one for one in data.get("others") or [] if one.get("time") not in {*times, copy["time"]}]
    faults, notes, compared = [], [*_fewer(known, data)], 0
    for key, share in SHARES.items():
        values = [one[key] for one in before if _is_number(one.get(key))]
        if not values or key not in copy:
            continue
        compared, middle = max(compared, len(values)), median(values)
        least = share if len(values) >= ENOUGH else ROUGHLY
        if copy[key] < least * middle:
            faults.append(f"{copy[key]:,} {UNITS[key]}, the {len(values)} copies before it had {middle:,.0f}")
        elif middle and copy[key] > GROWN * middle:
            notes.append(f"{copy[key]:,} {UNITS[key]}, the {len(values)} copies before it had {middle:,.0f}")
    facts = {"compared_with": compared, **_coverage(known)}
    return Comparison("; ".join(faults), tuple(notes), compared, facts)


def _id(evidence: Mapping[str, Json]) -> str:
    return str(evidence.get("id") or f"{evidence.get('path', '')}@{int(evidence['time'])}")


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _fewer(known: Mapping[str, Json], data: Mapping[str, Json]) -> Sequence[str]:
    """A note when far fewer copies lie there than at earlier looks."""
    now, earlier = data.get("count"), known.get("counts", [])[:-1]
    if not isinstance(now, int) or len(earlier) < ENOUGH or now * 2 >= median(earlier):
        return ()
    return (f"only {now} copies are left, {median(earlier):g} were there before",)


def _parts(known: Mapping[str, Json], data: Mapping[str, Json], at: float) -> dict[str, Json]:
    """When which part of a repository's data was last read: {"of", "read": {number: [when, share]}}."""
    part = (data.get("evidence") or {}).get("part") or {}
    read = {key: row for key, row in (known.get("read") or {}).items() if at - row[0] <= COVERED_DAYS * DAY}
    if not part:
        return {"of": known["of"], "read": read} if known else {}
    if known.get("of") != part["of"]:
        read = {}
    share = part["packs"] / part["all_packs"] if part.get("all_packs") else 0
    return {"of": part["of"], "read": {**read, str(part["number"]): [int(at), round(share, 5)]}}


def _coverage(known: Mapping[str, Json]) -> dict[str, Json]:
    """How much of a repository's data was read of late."""
    parts = known.get("parts") or {}
    if not parts:
        return {}
    share = min(1.0, sum(row[1] for row in parts["read"].values()))
    return {"read_share": round(share, 3), "read_in_days": COVERED_DAYS}
