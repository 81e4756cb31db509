"""Chooses which items of the trash go for good: those past their time, the oldest first, within the caps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from maintenancebot.model import Action, Change, Json, Reason, Risk, State, TaskType, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.settings import Caps

TASK = "trash"
HELD = frozenset({"held", "relocating", "offloaded"})
"""States of an item that can be restored, and so purged."""


class Item(Protocol):
    """An item of a host's trash, as its record tells."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def stored_bytes(self) -> int: ...
    @property
    def identity(self) -> Mapping[str, Json]: ...
    @property
    def offload(self) -> str: ...
    @property
    def quarantined_at(self) -> datetime | None: ...
    @property
    def purge_after(self) -> datetime | None: ...


@dataclass(frozen=True)
class Chosen:
    """What may go, and how many stay for which reason."""

    items: tuple[Item, ...]
    over_cap: int  # due, and more than one run may delete
    too_large: int  # due, and alone more than one run may ever delete
    next_at: datetime | None  # when the next one is due


def purge(host: str, items: Sequence[Item], caps: Caps, now: datetime) -> TaskPlan:
    """Each item that is past its time, up to the caps; how many stay is in the facts."""
    due = [item for item in items if is_due(item, now)]
    chosen = within(due, items, caps)
    changes = tuple(purge_change(host, TASK, item) for item in chosen.items)
    facts = {"items": len(items), "due": len(due), "over_cap": chosen.over_cap, "too_large": chosen.too_large}
    state, reason = (State.PLANNED, Reason.NONE) if changes else _without_changes(chosen, items)
    return TaskPlan(TASK, TaskType.CLEANUP, state, reason, _detail(chosen, len(items)), changes, facts)


def is_due(item: Item, now: datetime) -> bool:
    """Whether it is past its time, by its own record."""
    return item.state in HELD and item.purge_after is not None and item.purge_after <= now


def within(due: Sequence[Item], items: Sequence[Item], caps: Caps) -> Chosen:
    """The oldest of the due items that one run may delete."""
    fitting = [item for item in due if _weight(item) <= caps.bytes]
    fitting.sort(key=lambda item: (item.quarantined_at is not None, item.quarantined_at, item.id))
    chosen: list[Item] = []
    total = 0
    for item in fitting:
        total += _weight(item)
        if total > caps.bytes or len(chosen) == caps.files:
            break
        chosen.append(item)
    later = [item.purge_after for item in items if item not in due and item.state in HELD and item.purge_after]
    return Chosen(tuple(chosen), len(fitting) - len(chosen), len(due) - len(fitting), min(later, default=None))


def purge_change(host: str, task: str, item: Item) -> Change:
    """The change that deletes an item for good."""
    return make_change(
        host,
        task,
        Action.PURGE_ITEM,
        name=item.path,
        identity=identity(item),
        undo=Undo.NONE,
        risk=Risk.HIGH,
        effect={"freed_now": item.stored_bytes, "freed_at_purge": 0},
        note=f"cannot be undone; its bytes in {item.offload} go too" if item.offload else "cannot be undone",
    )


def identity(item: Item) -> dict[str, Json]:
    """What must still hold when an item is touched."""
    return {"item": item.id, **{key: item.identity.get(key) for key in ("ino", "size")}}


def _weight(item: Item) -> int:
    """What an item counts against the cap: holes do not make it less, nor does its compressed form."""
    return max(item.size, item.stored_bytes)


def _without_changes(chosen: Chosen, items: Sequence[Item]) -> tuple[State, Reason]:
    if chosen.too_large:
        return State.SKIPPED, Reason.OVER_CAP
    return State.NOTHING, Reason.UP_TO_DATE if items else Reason.NO_MATCH


def _detail(chosen: Chosen, count: int) -> str:
    stay = count - len(chosen.items)
    parts = [
        f"{stay} of {count} items stay" if count else "the trash is empty",
        f"due, and left for the next purge by deletion.caps: {chosen.over_cap}" if chosen.over_cap else "",
        f"due, and larger than deletion.caps.bytes: {chosen.too_large}" if chosen.too_large else "",
        f"the next is due {chosen.next_at:%Y-%m-%d %H:%M %Z}" if chosen.next_at else "",
    ]
    return "; ".join(part for part in parts if part)
