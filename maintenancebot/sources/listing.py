"""What a source lists, and the interface for sources of other packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from maintenancebot.model import Json


class SourceError(Exception):
    """A source gave no answer that can be used; says why, without any secret."""


@dataclass(frozen=True)
class Listed:
    """One host of a source: what it says in the words of the inventory file (`address`, `port`, `user`, …)."""

    name: str
    values: Mapping[str, Json] = field(default_factory=dict)
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The answer of a source; `problems` say what of it is missing or was left out."""

    hosts: tuple[Listed, ...]
    problems: tuple[str, ...] = ()
    partial: bool = False  # a part of it did not answer: hosts that are missing may be there all the same


class Plugin(Protocol):
    """What an entry point in the group `maintenancebot.inventory` leads to."""

    def __call__(self, options: Mapping[str, Json], timeout: float) -> Listing:
        """The hosts now; raises SourceError, or anything else, when there is no answer."""
        ...
