"""What a look at packages tells besides its changes: the age of the lists, and whether a reboot is due.

Facts come from hosts and may be of any form: what is not understood is not told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import HostReport, Json, Reason, TaskReport, TaskType

OLD_LISTS_DAYS = 7
"""Package lists older than this are pointed out: what is due may be more than they say."""


def aside(task: TaskReport) -> str:
    """The facts of one task in words, empty when there is nothing to tell; a reboot stands in the task's detail."""
    age = _lists_age(task)
    return "" if age is None else f"package lists {_ago(age)} old"


def notes(hosts: Sequence[HostReport]) -> list[str]:
    """What the operator should know of the fleet: old package lists, reboots that are due."""
    tasks = [(host.host, task) for host in hosts for task in host.tasks]
    old = [host for host, task in tasks if (_lists_age(task) or 0) > OLD_LISTS_DAYS * 86400]
    due = [host for host, task in tasks if _reboot(task)]
    stale = [host for host, task in tasks if _stale(task)]
    found = []
    if old:
        found.append(
            f"Package lists older than {OLD_LISTS_DAYS} days, more may be due (--refresh renews them): {_each(old)}"
        )
    if due:
        found.append(f"A reboot is due: {_each(due)}")
    if stale:
        found.append(f"Patched, but programs still run the old version until they are restarted: {_each(stale)}")
    return found


def _each(hosts: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(hosts))


def _lists_age(task: TaskReport) -> int | None:
    if task.type is not TaskType.PACKAGE_UPDATE or task.reason is Reason.LISTS_MISSING:
        return None
    age = task.facts.get("lists_age_seconds")
    return age if isinstance(age, int) else None


def _reboot(task: TaskReport) -> bool:
    reboot: Json = task.facts.get("reboot") if task.type is TaskType.PACKAGE_UPDATE else None
    return isinstance(reboot, Mapping) and reboot.get("required") is True


def _stale(task: TaskReport) -> bool:
    return task.type is TaskType.PACKAGE_UPDATE and bool(task.facts.get("stale"))


def _ago(seconds: int) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}"
    return f"{seconds} s"
