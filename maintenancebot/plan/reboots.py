"""Whether a host needs a reboot, now or after the upgrades of its plan, and the change that makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from maintenancebot.model import Action, Change, Host, HostFacts, Json, Risk, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings.tasks import PackageUpdateTask, Reboot

NEEDING = {
    "kernel": ("linux-image-*", "kernel", "kernel-core", "kernel-default*", "kernel-rt*", "kernel-uek*"),
    "libc": ("libc6", "glibc"),
}
"""Packages that are in use until the next boot."""

NOT_KNOWN = "whether a reboot is due is not known"


def change(
    host: Host, task: PackageUpdateTask, facts: HostFacts, result: ProbeResult, packages: Sequence[Mapping[str, Json]]
) -> tuple[Change, ...]:
    """The reboot, where it is wanted and due; the step itself looks again whether it is."""
    why = [*_signals(result), *_planned(packages)]
    if task.reboot is not Reboot.WHEN_REQUIRED or not why or not facts.is_root:
        return ()
    made = make_change(
        host.name,
        task.name,
        Action.REBOOT_HOST,
        name="reboot",
        identity={"boot_id": facts.boot_id, "why": why},
        undo=Undo.NONE,
        risk=Risk.HIGH,
        note="; ".join(why),
    )
    return (made,)


def words(task: PackageUpdateTask, result: ProbeResult, packages: Sequence[Mapping[str, Json]]) -> str:
    """For the report: why a reboot is due, that it will be, or that nobody knows; empty when none is."""
    if task.reboot is Reboot.NEVER:
        return ""
    now, later = _signals(result), _planned(packages)
    if now:
        return "needs a reboot: " + "; ".join(now)
    if later:
        return "will need a reboot: " + "; ".join(later)
    told = result.facts.get("reboot")
    return NOT_KNOWN if isinstance(told, Mapping) and told.get("required") is None else ""


def _signals(result: ProbeResult) -> list[str]:
    told = result.facts.get("reboot")
    if not isinstance(told, Mapping) or told.get("required") is not True:
        return []
    return [str(one) for one in told.get("signals") or ["the host says so"]]


def _planned(packages: Sequence[Mapping[str, Json]]) -> list[str]:
    names = [str(package["name"]) for package in packages]
    return [
        f"{what} upgrade in this plan"
        for what, patterns in NEEDING.items()
        if any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
    ]
