"""One host's tasks may find the same object: it is planned by the first of them alone. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace

from maintenancebot.model import Action, Change, Reason, State
from maintenancebot.plan.document import TaskPlan

FILES = frozenset({Action.COMPRESS_FILE, Action.QUARANTINE_FILE, Action.ROTATE_LOG})
FOLDERS = frozenset({Action.DROP_PACKAGE_CACHE, Action.VACUUM_JOURNAL})


def once(tasks: Sequence[TaskPlan]) -> tuple[TaskPlan, ...]:
    """The same plans without changes of objects that an earlier task has; what was left out is told."""
    taken: set[Hashable] = set()
    return tuple(_without(task, taken) for task in tasks)


def _without(task: TaskPlan, taken: set[Hashable]) -> TaskPlan:
    left = tuple(change for change in task.changes if _key(change) not in taken)
    taken.update(key for change in left if (key := _key(change)) is not None)
    count = len(task.changes) - len(left)
    if not count:
        return task
    detail = "; ".join(part for part in (task.detail, f"{count} planned by an earlier task") if part)
    kept = dict(task.facts.get("kept") or {})
    kept[Reason.KEPT.value] = kept.get(Reason.KEPT.value, 0) + count
    facts = {**task.facts, "kept": kept}
    if left:
        return replace(task, changes=left, detail=detail, facts=facts)
    return replace(task, state=State.NOTHING, reason=Reason.UP_TO_DATE, changes=left, detail=detail, facts=facts)


def _key(change: Change) -> Hashable:
    """What two changes must not share; None for changes that have no such thing."""
    if change.action in FILES:
        return "file", change.object.get("dev"), change.object.get("ino")
    return ("folder", change.object.get("folder")) if change.action in FOLDERS else None
