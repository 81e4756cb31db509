"""What two values of a configuration say about each other; checked for the sound parts even when others have faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import TypeAdapter, ValidationError

from maintenancebot.errors import Fault
from maintenancebot.model import Json
from maintenancebot.settings import paths
from maintenancebot.settings.declared import DRIFT
from maintenancebot.settings.places import Document, Loc
from maintenancebot.settings.sections import Deletion, Remediation
from maintenancebot.settings.tasks import CleanupTask, ConfiguredTask, Keeping

_TASK: TypeAdapter[ConfiguredTask] = TypeAdapter(ConfiguredTask)


def faults(document: Document) -> Iterator[Fault]:
    """Tasks of one name, and patterns outside the allowed trees."""
    items = document.data.get("tasks")
    tasks = items if isinstance(items, list) else []
    yield from _doubled_names(tasks, document)
    deletion = _deletion(document.data.get("deletion"))
    if deletion is not None:
        for index, item in enumerate(tasks):
            yield from _cleanup(item, ("tasks", index), deletion, document)
        yield from _remediation(document.data.get("remediation"), deletion, document)
        yield from _trash_in_a_cleaned_tree(deletion, document)


def _doubled_names(tasks: list[Json], document: Document) -> Iterator[Fault]:
    first: dict[str, int] = {}
    for index, item in enumerate(tasks):
        name = item.get("name") if isinstance(item, Mapping) else None
        if not isinstance(name, str):
            continue
        if name == DRIFT:
            place = document.place(("tasks", index, "name"))
            yield place.fault(f"`{DRIFT}` is the comparison with the declared state", "give the task another name")
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


def _cleanup(item: Json, loc: Loc, deletion: Deletion, document: Document) -> Iterator[Fault]:
    try:
        task = _TASK.validate_python(item)
    except ValidationError:
        return
    if not isinstance(task, CleanupTask):
        return
    for key, entries in (("patterns", task.patterns), ("rotate", task.rotate)):
        yield from _outside_allow([entry.path for entry in entries], (*loc, key), deletion, document)
    missing = {
        Keeping.ELSEWHERE: None if deletion.trash.elsewhere else "deletion.trash.elsewhere",
        Keeping.OFFLOADED: None if deletion.trash.offload else "deletion.trash.offload",
    }.get(task.keep)
    if missing:
        yield document.place((*loc, "keep")).fault(
            f"`keep: {task.keep.value}` needs a place", f"write {missing}, or `keep: here`"
        )


def _remediation(data: Json, deletion: Deletion, document: Document) -> Iterator[Fault]:
    try:
        remediation = Remediation.model_validate(data or {})
    except ValidationError:
        return
    globs = [entry.path for entry in remediation.disk.patterns]
    yield from _outside_allow(globs, ("remediation", "disk", "patterns"), deletion, document)


def _outside_allow(globs: Iterable[str], loc: Loc, deletion: Deletion, document: Document) -> Iterator[Fault]:
    for index, glob in enumerate(globs):
        if paths.outside(glob, deletion.allow):
            root = "/" + "/".join(paths.static_root(glob))
            yield document.place((*loc, index, "path")).fault(
                f"{glob!r} lies outside deletion.allow", f"add {root} to deletion.allow, or remove the pattern"
            )


def _trash_in_a_cleaned_tree(deletion: Deletion, document: Document) -> Iterator[Fault]:
    place = deletion.trash.elsewhere
    for tree in deletion.allow if place else ():
        inner, outer = paths.components(place or ""), paths.components(tree)
        if paths.is_within(inner, outer) or paths.is_within(outer, inner):
            yield document.place(("deletion", "trash", "elsewhere")).fault(
                f"the trash {place!r} and the allowed tree {tree!r} overlap", "name a folder that no task cleans"
            )
