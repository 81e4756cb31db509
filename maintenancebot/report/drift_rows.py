"""What differs on one host, item by item: which values, by whom, why it is left so, and lines if it may tell them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from maintenancebot.model import Change, Json, State, TaskReport, TaskType

STATES = {
    "contested": State.FAILED,
    "drifted": State.FAILED,
    "unreadable": State.UNKNOWN,
    "explained": State.NOTHING,
}
"""The lists of a task's facts that no change tells of, the worst first."""

OF_KEYS = {"keys": "missing", "exclusive": "extra"}
"""What a host tells of authorized keys beside all that it has."""

MOST_NAMED = 5
LAST_SECOND = 250_000_000_000
"""Beyond the year 9000 no time of a host is a time."""
LINES = 10
"""Lines of a file that are shown without -v."""

_HASH = re.compile(r"[0-9a-f]{40,}")


class Difference(NamedTuple):
    """One item that is not as declared, in words."""

    state: State
    kind: str
    item: str
    rest: str


def differences(task: TaskReport) -> list[Difference]:
    """What the changes do not tell; all of it may hold text from hosts."""
    if task.type is not TaskType.DRIFT:
        return []
    return [
        Difference(state, kind, str(row["item"]), "; ".join(_words(row)))
        for kind, state in STATES.items()
        for row in task.facts.get(kind, ())
    ]


def diffs(task: TaskReport, *, verbose: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The items of which the host may tell the lines that differ, those that are corrected too."""
    rows = [row for kind in (*STATES, "corrected") for row in task.facts.get(kind, ()) if row.get("diff")]
    for row in rows if task.type is TaskType.DRIFT else ():
        lines = tuple(map(str, row["diff"]))
        shown = lines if verbose else lines[:LINES]
        more = (f"… and {len(lines) - len(shown):,} more; -v lists all",) if len(lines) > len(shown) else ()
        yield str(row["item"]), (*shown, *more)


def writers(task: TaskReport) -> dict[str, str]:
    """By item, who may have written what was not corrected, though it was planned."""
    undone = {one.change.name for one in task.changes if one.state in (State.SKIPPED, State.FAILED)}
    rows = task.facts.get("corrected", ()) if task.type is TaskType.DRIFT else ()
    return {str(row["item"]): "; ".join(_writers(row["writers"])) for row in rows if row["item"] in undone}


def replaced(change: Change) -> str:
    """The values that a correction changes, by which it can be undone; empty for other changes."""
    wanted, found = change.object.get("wanted"), change.object.get("found")
    if not isinstance(wanted, Mapping) or not isinstance(found, Mapping):
        return ""
    differs = [key for key in wanted if found and found.get(key) != wanted[key]]
    return "; ".join(filter(None, (_value(key, {"wanted": wanted, "found": found}) for key in differs)))


def _words(row: Mapping[str, Json]) -> Iterator[str]:
    """Parts of a line: values, what explains it or why it is left so, who wrote it, where it is declared."""
    if row["state"] == "differs":
        yield from (_value(key, row) for key in row["differs"])
    else:
        yield str(row["state"]).replace("_", " ")
    if row.get("error"):
        yield str(row["error"])
    if row["explained"]:
        yield f"by {_flat({**row['explained'], 'at': _moment(row['explained'].get('at'))})}"
    if row.get("note"):
        yield str(row["note"])
    if row["writers"] and not row["explained"]:
        yield from _writers(row["writers"])
    if row["place"]:
        yield f"declared in {row['place']}"


def _value(key: str, row: Mapping[str, Json]) -> str:
    """Both values; of authorized keys those that are too few or too many, empty when there are none."""
    which = OF_KEYS.get(key)
    if which in row["found"]:
        return f"{which} {_flat(row['found'][which])}" if row["found"][which] else ""
    return f"{key} {_short(row['wanted'].get(key))}, found {_short(row['found'].get(key))}"


def _short(value: Json) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return f"{len(value)} entries" if len(value) > 1 else f'"{value[0]}"' if value else "none"
    text = str(value)
    return f"{text[:12]}…" if _HASH.fullmatch(text) else text


def _writers(writers: Mapping[str, Json]) -> Iterator[str]:
    for key, words in (("package", "of package"), ("processes", "open in"), ("logins", "logged in then:")):
        if writers.get(key):
            yield f"{words} {_flat(writers[key])}"


def _moment(at: Json) -> Json:
    """A time of a host as people read it; what is none stays as it is."""
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < LAST_SECOND:
        return at
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def _flat(value: Json) -> str:
    """Any value in words, on one line."""
    if isinstance(value, Mapping):
        return " ".join(_flat(one) for one in value.values() if one not in (None, "", [], {}))
    if isinstance(value, list):
        return ", ".join(_flat(one) for one in value[:MOST_NAMED])
    return str(value)
