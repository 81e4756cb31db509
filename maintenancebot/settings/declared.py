"""The declared state of one host: the items of all baselines that are for it, with its own values filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from maintenancebot.model import Autonomy, Json, TaskType

DRIFT = "drift"
"""Name of the task; no configured task may have it."""


class ItemKind(StrEnum):
    """What can be declared."""

    FILE = "file"
    PACKAGE = "package"
    SERVICE = "service"  # any unit of systemd; a timer is one
    SYSCTL = "sysctl"
    USER = "user"
    GROUP = "group"
    KEYS = "keys"  # the authorized keys of a user
    CRONTAB = "crontab"  # of a user; files below /etc/cron.d are files
    MOUNT = "mount"
    KERNEL = "kernel"  # a word of the kernel's command line


class Correct(StrEnum):
    """Whether an item may be corrected."""

    NEVER = "never"  # reported only
    APPROVAL = "approval"  # once a person approved it
    SAFE = "safe"  # by itself, as far as autonomy goes


@dataclass(frozen=True)
class Item:
    """One thing that is declared, as the host is held against it.

    `wanted` is what the helper compares and holds no content of files: a `sha256` and a `size` in its place.
    """

    kind: ItemKind
    name: str
    wanted: Mapping[str, Json]
    correct: Correct = Correct.NEVER
    content: bytes | None = field(default=None, repr=False)  # what a correction installs; None where it is not known
    diff: bool = False  # whether the host may tell a redacted difference
    reload: str = ""  # a unit that is reloaded after a correction, and must be well then
    place: str = ""  # where it is declared: file and line

    @property
    def id(self) -> str:
        """The same item has the same id on every host."""
        return f"{self.kind.value}:{self.name}"


@dataclass(frozen=True)
class Allowance:
    """A person's word that an item may drift on this host, until a time."""

    item: str
    until: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class OwnChange:
    """A change of ours that explains why something is not as declared."""

    action: str
    name: str  # as the change's: `package=version`, a path
    at: datetime
    run: str


@dataclass(frozen=True)
class Correction:
    """An earlier correction of an item on this host; values as digests."""

    item: str
    at: datetime
    replaced: Mapping[str, Json]  # what was found, value by value
    installed: str
    held: bool  # it was measured afterwards; else it went wrong, or nobody knows


@dataclass(frozen=True)
class DriftTask:
    """The comparison of one host with its declared state; made for it, never configured among the tasks."""

    items: tuple[Item, ...]
    approval: Autonomy
    allowances: tuple[Allowance, ...] = ()
    own: tuple[OwnChange, ...] = ()
    corrections: tuple[Correction, ...] = ()  # of the last day
    problem: str = ""  # why it is not known what is declared for this host
    name: str = DRIFT
    hosts: tuple[str, ...] = ("all",)
    type: Literal[TaskType.DRIFT] = TaskType.DRIFT
