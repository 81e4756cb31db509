"""Removes single objects of a container daemon, by id, by the helper on the host, which asks the daemon itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.actions.answers import outcomes as outcomes
from maintenancebot.model import Action, Change, Json, Step
from maintenancebot.settings import Settings, Task

OPS = {
    Action.REMOVE_IMAGE: "images.remove",
    Action.REMOVE_VOLUME: "volumes.remove",
    Action.REMOVE_CONTAINER: "leftovers.remove",
    Action.REMOVE_BUILD_CACHE: "leftovers.remove",
}


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """One step for each object, in the plan's order: children stand before parents."""
    deletion = settings.deletion
    args: dict[str, Json] = {"keep_days": deletion.keep_days, "cap_bytes": deletion.caps.bytes}
    return [_step(change, args) for change in changes]


def _step(change: Change, args: Mapping[str, Json]) -> Step:
    op = OPS[change.action]
    return Step(f"{op}:{change.id}", change.task, op, (change,), args)
