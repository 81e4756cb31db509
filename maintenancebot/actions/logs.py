"""Cleanup: one step for each change, so that the kill switch is asked before each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.actions import offload, trash
from maintenancebot.actions.answers import outcomes as outcomes
from maintenancebot.model import Action, Change, Host, Json, Step
from maintenancebot.settings import Keeping, Settings, Task

OPS = {
    Action.COMPRESS_FILE: "logs.compress",
    Action.QUARANTINE_FILE: "trash.move",
    Action.DROP_PACKAGE_CACHE: "caches.drop",
    Action.VACUUM_JOURNAL: "journal.vacuum",
    Action.ROTATE_LOG: "rotate.rotate",
}


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """The steps in the plan's order; the rules travel with them and are asked again on the host."""
    return [step(change, settings) for change in changes]


def step(change: Change, settings: Settings) -> Step:
    """The step of one change, whichever task lists it."""
    op = OPS[change.action]
    return Step(f"{op}:{change.id}", change.task, op, (change,), _args(change, settings))


def _args(change: Change, settings: Settings) -> dict[str, Json]:
    """The rules of `deletion`; for files also where they lie until a purge, which the plan's change says."""
    deletion = settings.deletion
    args: dict[str, Json] = {"allow": list(deletion.allow), "protect": list(deletion.protect)}
    if change.action in (Action.COMPRESS_FILE, Action.QUARANTINE_FILE):
        keep = change.object.get("keep", Keeping.HERE.value)
        args |= {"keep_days": deletion.keep_days, "keep": keep, **trash.places(settings)}
    return args


def reply(step: Step, question: Mapping[str, Json], host: Host, settings: Settings) -> Mapping[str, Json]:
    """What a step asks for an item in an object store."""
    return offload.reply(step, question, host, settings)


def give_up(host: Host) -> None:
    """Drop what a host has begun to send and did not end."""
    offload.give_up(host)
