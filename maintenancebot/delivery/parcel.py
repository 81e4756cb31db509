"""What a target is handed, and what it answers: a parcel, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from maintenancebot.model import Json

REST_SECONDS = 900.0
"""How long a target rests that does not let us in: that changes when a person changes it."""


class Fate(StrEnum):
    """What became of a try."""

    SENT = "sent"  # it is there
    LATER = "later"  # it is not there, and may be sent again
    UNCLEAR = "unclear"  # it may be there, and the next try can find out or be told apart
    LOST = "lost"  # it may be there, nobody can find out, and it must not be there twice
    REFUSED = "refused"  # it will never be taken


@dataclass(frozen=True)
class Parcel:
    """One message for one target; its body holds no secret any more."""

    key: str
    kind: str
    body: Mapping[str, Json]
    created_at: datetime
    tries: int = 0  # before this one
    is_unclear: bool = False  # an earlier try may have arrived
    tried_at: datetime | None = None  # the earlier try
    reference: Mapping[str, Json] = field(default_factory=dict)  # what an earlier try left there
    known: Mapping[str, Json] = field(default_factory=dict)  # what the last message that arrived left there


@dataclass(frozen=True)
class Attempt:
    """What a target says of one try."""

    fate: Fate
    detail: str = ""
    wait: float | None = None  # seconds that the target wants to be left alone for
    reference: Mapping[str, Json] = field(default_factory=dict)


class Target(Protocol):
    """A place where messages go; its name is that of its rows in the store."""

    @property
    def name(self) -> str: ...

    def send(self, parcel: Parcel) -> Attempt:
        """Send it; whatever the other side does is a value."""
        ...
