"""What a host told of its declared items, item by item, and what explains a difference. Pure.

Findings come from hosts: what is not as agreed raises ValueError, and what is shown is cut to a size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from maintenancebot.model import Action, Json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DriftTask, Item, ItemKind, OwnChange

LATER_SECONDS = 600.0
"""A change of ours explains what was last written up to so long after it: a service may write its file anew."""

RESTORED_SECONDS = 60.0
"""The same for a restore: what was put back is meant as it is, and whoever writes next is not us."""

OF_USERS = (ItemKind.KEYS, ItemKind.CRONTAB)
"""Named by a user; the host tells which file of his it is."""

MOST_TEXT, MOST_PARTS = 1000, 100


class Difference(StrEnum):
    """How an item is not as declared."""

    MISSING = "missing"
    DIFFERS = "differs"
    UNEXPECTED = "unexpected"  # declared as absent, and there
    UNREADABLE = "unreadable"  # could not be looked at
    LINK = "link"  # where a file is declared
    SPECIAL = "special"  # a folder, a device, a socket where a file is declared
    NOT_APPLICABLE = "not_applicable"  # the host has nothing that this could be about


@dataclass(frozen=True)
class Seen:
    """One item that is not as declared."""

    item: Item
    difference: Difference
    found: Mapping[str, Json]
    differs: tuple[str, ...] = ()
    explained: Mapping[str, Json] = field(default_factory=dict)  # empty: by nothing
    writers: Mapping[str, Json] = field(default_factory=dict)
    diff: tuple[str, ...] = ()
    identity: Mapping[str, Json] = field(default_factory=dict)
    error: str = ""

    def row(self, **more: Json) -> dict[str, Json]:
        """As the facts of a report have it."""
        told = {
            "item": self.item.id,
            "state": self.difference.value,
            "differs": list(self.differs),
            "wanted": dict(self.item.wanted),
            "found": dict(self.found),
            "explained": dict(self.explained),
            "writers": dict(self.writers),
            "correct": self.item.correct.value,
            "place": self.item.place,
            "diff": list(self.diff),
            **({"error": self.error} if self.error else {}),
            **more,
        }
        return {key: shortened(value) for key, value in told.items()}

    @property
    def words(self) -> str:
        """The item and how it differs, in a few words."""
        how = f"differs in {', '.join(self.differs)}" if self.differs and self.is_there else _WORDS[self.difference]
        return f"{self.item.id} {how}"

    @property
    def is_there(self) -> bool:
        """Whether there is something that can be compared value by value."""
        return self.difference is Difference.DIFFERS


_WORDS = {
    Difference.MISSING: "is missing",
    Difference.DIFFERS: "differs",
    Difference.UNEXPECTED: "is there and should not be",
    Difference.UNREADABLE: "cannot be read",
    Difference.LINK: "is a link",
    Difference.SPECIAL: "is no regular file",
    Difference.NOT_APPLICABLE: "is not applicable",
}


def read(task: DriftTask, result: ProbeResult, now: float, offset: float) -> list[Seen]:
    """The items that are not as declared, in the order of their declaration; `offset`: how far the host is ahead.

    Raises ValueError where the answer is not about exactly the declared items.
    """
    told = {finding.subject: finding.data for finding in result.findings if finding.kind == "item"}
    matches = result.facts["matches"]
    unknown = set(told) - {item.id for item in task.items}
    if unknown or matches + len(told) != len(task.items):
        raise ValueError(f"{len(task.items)} items were asked for, {matches} match and {len(told)} differ")
    return [_seen(item, told[item.id], task, now, offset) for item in task.items if item.id in told]


def _seen(item: Item, data: Mapping[str, Json], task: DriftTask, now: float, offset: float) -> Seen:
    seen = Seen(
        item=item,
        difference=Difference(data["state"]),
        found=_mapping(data.get("found")),
        differs=tuple(str(key) for key in data.get("differs") or ()),
        explained=_mapping(data.get("explained")),
        writers=_mapping(data.get("writers")),
        diff=tuple(str(line) for line in data.get("diff") or ()),
        identity=_mapping(data.get("identity")),
        error=str(data.get("error") or ""),
    )
    return replace(seen, explained=_explanation(seen, task, now, offset))


def _explanation(seen: Seen, task: DriftTask, now: float, offset: float) -> dict[str, Json]:
    """What explains the difference, the strongest word first: a person's, what the host knows, what we did."""
    for one in task.allowances:
        if one.item == seen.item.id and now < one.until.timestamp():
            return {"by": "allowance", "person": one.by, "reason": one.reason, "until": one.until.isoformat()}
    told = dict(seen.explained)
    if told.get("by") == "package" or (told.get("by") == "trash" and seen.difference is Difference.MISSING):
        return told
    for own in sorted(task.own, key=lambda one: one.at, reverse=True):
        if _did(own, seen) and _wrote_last(own, seen.writers, offset):
            return {"by": "own", "action": own.action, "name": own.name, "run": own.run, "at": own.at.isoformat()}
    return {}


def _did(own: OwnChange, seen: Seen) -> bool:
    """Whether a change of ours was about this very item; a correction explains no drift."""
    item = seen.item
    if own.action == Action.RESTORE_FILE and _is_gone(seen):
        return False  # what was put back is gone again, and who took it was not us
    if item.kind in OF_USERS:
        return own.action == Action.RESTORE_FILE and own.name == seen.identity.get("path")
    if item.kind is ItemKind.PACKAGE:
        is_about = own.action == Action.UPGRADE_PACKAGE and own.name.partition("=")[0] == item.name
        return is_about and seen.differs == ("version",)  # neither installs a package, nor lifts a hold
    if item.kind is not ItemKind.FILE:
        return False
    if own.action == Action.RENEW_CERTIFICATE:
        return item.name.startswith(f"/etc/letsencrypt/live/{own.name}/")
    return own.action in _ON_FILES and own.name == item.name


def _is_gone(seen: Seen) -> bool:
    """Whether there is no file any more; of keys there may be one though all of them are missing."""
    return seen.difference is Difference.MISSING and seen.writers.get("at") is None


_ON_FILES = (Action.COMPRESS_FILE, Action.QUARANTINE_FILE, Action.ROTATE_LOG, Action.RESTORE_FILE)


def _wrote_last(own: OwnChange, writers: Mapping[str, Json], offset: float) -> bool:
    """Whether nobody wrote after our change, as far as the host knows."""
    at, later = writers.get("at"), RESTORED_SECONDS if own.action == Action.RESTORE_FILE else LATER_SECONDS
    return not isinstance(at, int | float) or at - offset <= own.at.timestamp() + later


def shortened(value: Json) -> Json:
    """A value of a host, cut to what a report can hold."""
    if isinstance(value, str):
        return value if len(value) <= MOST_TEXT else f"{value[:MOST_TEXT]}…"
    if isinstance(value, Mapping):
        return {shortened(str(key)): shortened(one) for key, one in list(value.items())[:MOST_PARTS]}
    if isinstance(value, list | tuple):
        return [shortened(one) for one in value[:MOST_PARTS]]
    return value


def _mapping(value: Json) -> dict[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no mapping")
    return dict(value)
