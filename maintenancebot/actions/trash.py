"""The trash: steps that restore, relocate and purge items, and how the helper's answers about files are read."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.actions import offload
from maintenancebot.actions.answers import outcomes as outcomes
from maintenancebot.model import Action, Change, Host, Json, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.probes.trash import TrashItem
from maintenancebot.settings import Settings

TASK = "trash"
RESTORE = "trash.restore"
RELOCATE = "trash.relocate"
PURGE = "trash.purge"
GIVE_BACK = {"volume": Action.RESTORE_VOLUME, "image": Action.RESTORE_IMAGE}
"""Form of what is no file -> the action that gives it back."""

CORRECTIONS = (Action.CORRECT_FILE, Action.CORRECT_KEYS, Action.CORRECT_CRONTAB)
"""What put a replaced version into the trash: it may go back to its place, wherever files may be deleted."""


def restore_step(item: TrashItem, to: str = "") -> Step:
    """Bring an item back to its place, or to another path or name; nothing is ever overwritten."""
    replaced = {"replaced": True} if item.action in CORRECTIONS and not to else {}
    change = make_change(
        item.host,
        TASK,
        GIVE_BACK.get(item.form, Action.RESTORE_FILE),
        name=to or item.path,
        identity={"item": item.id, "to": to, **replaced},
        undo=Undo.NONE,
        note="" if item.form in GIVE_BACK else "the next run leaves it alone for a week, or until it changes",
    )
    return Step(f"{RESTORE}:{change.id}", TASK, RESTORE, (change,))


def relocate_step(change: Change, settings: Settings) -> Step:
    """Bring an item to where its change says; it can be restored from there as well."""
    return Step(f"{RELOCATE}:{change.id}", change.task, RELOCATE, (change,), places(settings))


def purge_step(change: Change, settings: Settings, *, for_space: bool = False) -> Step:
    """Delete an item's bytes for good; the host refuses before its time, and above the caps of one execution.

    `for_space`: its time is `deletion.min_days`, else what its record says.
    """
    caps = settings.deletion.caps
    args: dict[str, Json] = {"cap_files": caps.files, "cap_bytes": caps.bytes}
    if for_space:
        args |= {"for_space": True, "minimum_days": settings.deletion.minimum_days}
    return Step(f"{PURGE}:{change.id}", change.task, PURGE, (change,), args)


def places(settings: Settings) -> dict[str, Json]:
    """Where else than on its own file system something may lie: arguments of the steps that bring it there."""
    trash = settings.deletion.trash
    return {
        "elsewhere": trash.elsewhere or "",
        "offload": trash.offload.model_dump(mode="json") if trash.offload else None,
    }


def reply(step: Step, question: Mapping[str, Json], host: Host, settings: Settings) -> Mapping[str, Json]:
    """What a step asks for an item in an object store."""
    return offload.reply(step, question, host, settings)


def give_up(host: Host) -> None:
    """Drop what a host has begun to send and did not end."""
    offload.give_up(host)
