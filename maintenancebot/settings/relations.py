"""What two values of a configuration say about each other; checked for the sound parts even when others have faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import TypeAdapter, ValidationError

from maintenancebot.errors import Fault
from maintenancebot.model import Json
from maintenancebot.settings import paths
from maintenancebot.settings.places import Document, Loc
from maintenancebot.settings.sections import Deletion
from maintenancebot.settings.tasks import CleanupTask, Task

_TASK: TypeAdapter[Task] = TypeAdapter(Task)


def faults(document: Document) -> Iterator[Fault]:
    """Tasks of one name, and patterns outside the allowed trees."""
    items = document.data.get("tasks")
    tasks = items if isinstance(items, list) else []
    yield from _doubled_names(tasks, document)
    deletion = _deletion(document.data.get("deletion"))
    if deletion is not None:
        for index, item in enumerate(tasks):
            yield from _outside_allow(item, ("tasks", index), deletion, document)


def _doubled_names(tasks: list[Json], document: Document) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, item in enumerate(tasks):
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str):
            continue
        if name in first:
            earlier = document.place(("tasks", first[name], "name"))
            place = document.place(("tasks", index, "name"))
            yield place.fault(f"a second task `{name}`, the first is in line {earlier.line}", "give each its own name")
        first.setdefault(name, index)


def _deletion(data: Json) -> Deletion | None:
    if data is None:
        return Deletion()
    try:
        return Deletion.model_validate(data)
    except ValidationError:
        return None


def _outside_allow(item: Json, loc: Loc, deletion: Deletion, document: Document) -> Iterator[Fault]:
    try:
        task = _TASK.validate_python(item)
    except ValidationError:
        return
    if not isinstance(task, CleanupTask):
        return
    for index, entry in enumerate(task.patterns):
        if paths.outside(entry.path, deletion.allow):
            root = "/" + "/".join(paths.static_root(entry.path))
            yield document.place((*loc, "patterns", index, "path")).fault(
                f"{entry.path!r} lies outside deletion.allow", f"add {root} to deletion.allow, or remove the pattern"
            )
