"""Patches: repair, then all packages of a host in one transaction, then the reboot; judged by what is seen after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from maintenancebot.actions import answers
from maintenancebot.model import Action, Change, Host, Json, Outcome, Reason, State, Step
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.tasks import PackageUpdateTask

REPAIR = "patches.repair"
OP = "patches.upgrade"
REBOOT = "host.reboot"

OPS = {Action.REPAIR_PACKAGES: REPAIR, Action.UPGRADE_PACKAGE: OP, Action.REBOOT_HOST: REBOOT}
"""The step of each action, in the order in which they are made."""


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """One step for all upgrades of the host; a repair and a reboot are steps of their own."""
    assert isinstance(task, PackageUpdateTask)
    found = []
    for action, op in OPS.items():
        mine = tuple(change for change in changes if change.action is action)
        if mine:
            found.append(Step(f"{op}:{task.name}", task.name, op, mine, _arguments(op, task)))
    return found


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """One outcome for each change; no answer, or one that contradicts itself, is unknown."""
    pairs = zip(step.changes, answers.outcomes(step, raw), strict=True)
    return [_believed(change, outcome) for change, outcome in pairs]


def reply(step: Step, question: Mapping[str, Json], host: Host, settings: Settings) -> Mapping[str, Json]:
    """Leave to roll back what the step in hand has upgraded; the guards were asked before."""
    if step.op == OP and question.get("ask") == "roll_back" and step.args.get("rollback"):
        return {"go": True}
    return {"refused": Reason.NOT_ALLOWED.value, "detail": "nothing that this step may ask for"}


def give_up(host: Host) -> None:
    """Nothing is kept between questions."""


def _arguments(op: str, task: PackageUpdateTask) -> dict[str, Json]:
    health: dict[str, Json] = task.health.model_dump(mode="json")
    if op == REBOOT:
        return {"health": health}
    if op == REPAIR:
        return {"lock_timeout": task.lock_timeout_seconds}
    return {
        "lock_timeout": task.lock_timeout_seconds,
        "rollback": task.rollback_on_failure,
        "never_roll_back": list(task.never_roll_back),
        "health": health,
        "snapshot_hook": task.snapshot_hook or "",
    }


def _believed(change: Change, outcome: Outcome) -> Outcome:
    if outcome.state is not State.DONE or not _contradicts(change, outcome.measured):
        return outcome
    return replace(outcome, state=State.UNKNOWN, reason=Reason.HELPER_ERROR, detail=_CONTRADICTION[change.action])


_CONTRADICTION = {
    Action.UPGRADE_PACKAGE: "done, but another version is installed",
    Action.REPAIR_PACKAGES: "done, but packages are still broken",
    Action.REBOOT_HOST: "done, but no new boot was seen by the controller",
}


def _contradicts(change: Change, measured: Mapping[str, Json]) -> bool:
    """Whether a change cannot be done, by what was measured itself."""
    if change.action is Action.UPGRADE_PACKAGE:
        return bool(measured.get("installed") != change.object["to"])
    return change.action is Action.REBOOT_HOST or bool(measured.get("broken", True))
