"""The figures of a week: counted from what was measured, nothing estimated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase

from maintenancebot.app.weekly.looks import Looks
from maintenancebot.app.weekly.records import Records
from maintenancebot.model import Action, ChangeReport, Json, Reason, State, TaskReport, TaskType
from maintenancebot.plan.reboots import NEEDING
from maintenancebot.plan.validity import WORST_FIRST
from maintenancebot.policy.episodes import EpisodeState
from maintenancebot.report.totals import number
from maintenancebot.report.week import HostWeek

MADE = {
    Action.UPGRADE_PACKAGE: "packages_upgraded",
    Action.REBOOT_HOST: "reboots",
    Action.PURGE_ITEM: "purged",
    Action.REMOVE_IMAGE: "images_removed",
    Action.REMOVE_VOLUME: "volumes_removed",
    Action.RENEW_CERTIFICATE: "certificates_renewed",
    Action.CORRECT_FILE: "drift_corrected",
    Action.CORRECT_SERVICE: "drift_corrected",
    Action.CORRECT_SYSCTL: "drift_corrected",
    Action.CORRECT_KEYS: "drift_corrected",
    Action.CORRECT_CRONTAB: "drift_corrected",
    Action.CORRECT_HOLD: "drift_corrected",
}
"""What a made change of each action counts as; others have no figure of their own."""

_BAD = frozenset(WORST_FIRST)
BACKUPS = {State.DONE: "backups_good", State.FAILED: "backups_bad"}


def of_hosts(hosts: Sequence[HostWeek], looks: Mapping[str, Looks]) -> dict[str, Json]:
    """How the hosts and their tasks are at the end of the week."""
    seen = [host for host in hosts if looks[host.host].is_seen]
    tasks = Counter(cell.state for host in hosts for cell in host.tasks.values())
    return {
        "hosts": len(hosts),
        "hosts_well": sum(host.state in (State.DONE, State.NOTHING) for host in seen),
        "hosts_failed": sum(host.state is State.FAILED for host in seen),
        "hosts_unknown": sum(host.state is State.UNKNOWN for host in seen),
        "hosts_not_seen": len(hosts) - len(seen),
        **{f"tasks_{state}": tasks[state] for state in State if state is not State.PLANNED},
    }


def of_changes(records: Records) -> dict[str, Json]:
    """What was made in all runs of the week, those of episodes and persons included."""
    done = [change for change in _changes(records) if change.state is State.DONE]
    counted = Counter(MADE[change.change.action] for change in done if change.change.action in MADE)
    return {
        **{name: counted[name] for name in dict.fromkeys(MADE.values())},
        "advisories": len({str(one) for change in done for one in _advisories(change)}),
        "freed_now": sum(number(change.measured.get("freed_now")) for change in done),
        "freed_at_purge": sum(number(change.measured.get("freed_at_purge")) for change in done),
    }


def of_tasks(looks: Iterable[Looks]) -> dict[str, Json]:
    """What the last looks of the week found: what is due, backups, certificates, drift."""
    counted: Counter[str] = Counter()
    for known in looks:
        for task in known.reports:
            counted.update(_COUNTS.get(task.type, _nothing)(task))
        counted["reboots_due"] += any(map(why_reboot, known.reports))
    names = ("packages_due", "reboots_due", *BACKUPS.values(), "backups_unknown", "certificates_valid")
    return {name: counted[name] for name in (*names, "certificates_bad", "drifted", "drift_explained")}


def of_events(records: Records) -> dict[str, Json]:
    """Alerts and slots."""
    ended = [one for one in records.episodes if one.closed_at is not None and _is_within(records, one.closed_at)]
    return {
        "episodes_healed": sum(one.state is EpisodeState.CLOSED and one.reason is Reason.VERIFIED for one in ended),
        "episodes_escalated": sum(one.state is EpisodeState.ESCALATED for one in ended),
        "slots_missed": sum(slot.reason is Reason.MISSED for slot in records.slots),
    }


def why_reboot(task: TaskReport) -> list[str]:
    """Why a host still needs a reboot after what was made of this task; empty when it needs none, or nobody asked."""
    told = task.facts.get("reboot") if task.type is TaskType.PACKAGE_UPDATE else None
    done = [change.change for change in task.changes if change.state is State.DONE]
    if not isinstance(told, Mapping) or any(change.action is Action.REBOOT_HOST for change in done):
        return []
    signals = told.get("signals") if told.get("required") is True else []
    seen = [str(one) for one in signals] if isinstance(signals, list | tuple) else []
    upgraded = [change.name for change in done if change.action is Action.UPGRADE_PACKAGE]
    made = [f"{name} was upgraded" for name in upgraded if _needs_reboot(name.partition("=")[0])]
    return [*seen, *made] or (["the host says so"] if told.get("required") is True else [])


def _needs_reboot(package: str) -> bool:
    return any(fnmatchcase(package, pattern) for patterns in NEEDING.values() for pattern in patterns)


def _changes(records: Records) -> Iterator[ChangeReport]:
    for report in records.reports:
        for host in report.hosts:
            for task in host.tasks:
                yield from task.changes


def _advisories(change: ChangeReport) -> Sequence[Json]:
    found = change.change.effect.get("advisories") if change.change.action is Action.UPGRADE_PACKAGE else None
    return found if isinstance(found, list | tuple) else ()


def _updates(task: TaskReport) -> dict[str, int]:
    """Security updates that the look found due, without those that were then made."""
    made = sum(change.state is State.DONE and change.change.effect.get("security") is True for change in task.changes)
    return {"packages_due": max(0, number(task.facts.get("security")) - made)}


def _backups(task: TaskReport) -> Counter[str]:
    states = [State(str(row.get("state"))) for row in _rows(task, "sources") if row.get("state") in set(State)]
    return Counter(BACKUPS.get(state, "backups_unknown") for state in states)


def _certificates(task: TaskReport) -> dict[str, int]:
    """By their verdicts; a bad one that was then renewed is valid, unless the task says that it failed."""
    verdicts = [row.get("verdict") for row in _rows(task, "certificates")]
    bad = sum(verdict in _BAD for verdict in verdicts)
    renewals = [change for change in task.changes if change.change.action is Action.RENEW_CERTIFICATE]
    if renewals and all(change.state is State.DONE for change in renewals):
        left = task.facts.get("failed")
        renewed = max(0, bad - (len(left) if isinstance(left, list | tuple) else 0))
        return {"certificates_valid": verdicts.count(Reason.VALID) + renewed, "certificates_bad": bad - renewed}
    return {"certificates_valid": verdicts.count(Reason.VALID), "certificates_bad": bad}


def _drift(task: TaskReport) -> dict[str, int]:
    """Items that are not as declared by the end of the task, with and without an explanation."""
    counts = task.facts.get("counts")
    every = sum(map(number, counts.values())) if isinstance(counts, Mapping) else 0
    explained, unreadable = len(_rows(task, "explained")), len(_rows(task, "unreadable"))
    others = number(counts.get("not_applicable")) if isinstance(counts, Mapping) else 0
    corrected = sum(change.state is State.DONE for change in task.changes)
    return {"drifted": max(0, every - others - explained - unreadable - corrected), "drift_explained": explained}


def _nothing(task: TaskReport) -> dict[str, int]:
    return {}


def _rows(task: TaskReport, name: str) -> list[Mapping[str, Json]]:
    """The rows of a fact, whatever else a host may have put there left out."""
    found = task.facts.get(name)
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []


def _is_within(records: Records, at: datetime) -> bool:
    return records.span.starts_at <= at < records.until


_COUNTS = {
    TaskType.PACKAGE_UPDATE: _updates,
    TaskType.VERIFY: _backups,
    TaskType.MONITOR: _certificates,
    TaskType.DRIFT: _drift,
}
