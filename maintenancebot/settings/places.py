"""Where in a file each value stands, so that a fault can say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maintenancebot.errors import Fault
from maintenancebot.model import Json

Loc = tuple[str | int, ...]
"""The way from the top of a document to a value: keys and list indices."""


@dataclass(frozen=True)
class Place:
    """A position in a file, counted from 1; line 0 when the source has no lines."""

    file: str
    line: int = 0
    column: int = 0

    def fault(self, problem: str, instead: str = "") -> Fault:
        """A fault at this place."""
        return Fault(self.file, self.line, self.column, problem, instead)


@dataclass
class Document:
    """Plain data read from a file, with the place of each key and value and the faults found on the way."""

    file: str
    data: dict[str, Json] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    keys: dict[Loc, Place] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    doubtful: set[Loc] = field(default_factory=set)  # values that have a fault already: one is enough

    def place(self, loc: Loc) -> Place:
        """Where the value is, or the nearest thing around it."""
        return _nearest(self.values, loc, self.file)

    def key_place(self, loc: Loc) -> Place:
        """Where the key of the value is."""
        return self.keys.get(loc) or self.place(loc)

    def is_doubtful(self, loc: Loc) -> bool:
        """Whether the value, or one around it, has a fault already."""
        return any(loc[:length] in self.doubtful for length in range(len(loc) + 1))


def _nearest(places: Mapping[Loc, Place], loc: Loc, file: str) -> Place:
    for length in range(len(loc), -1, -1):
        if loc[:length] in places:
            return places[loc[:length]]
    return Place(file)
