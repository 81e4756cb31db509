"""Chooses what is done to the files that are due. Pure: the helper judged each file, this makes changes of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maintenancebot.model import Action, Change, Finding, Host, HostFacts, Json, Reason, State, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import CleanupTask, Settings, Task

IDENTITY = ("path", "root", "dev", "ino", "size", "mtime_ns", "ctime_ns", "mode", "uid", "gid")
"""All that must still hold when a file is touched."""


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """Compress or quarantine each file that is due, once; counts and reasons of what stays are in the facts."""
    assert isinstance(task, CleanupTask)
    told = dict(result.facts)
    if result.state is not State.DONE:
        return TaskPlan(task.name, task.type, result.state, result.reason, result.detail, facts=told)
    changes = tuple(sorted(_changes(host, task, result.findings), key=lambda change: change.name))
    told["bytes"] = sum(int(change.effect["freed_at_purge"]) for change in changes)
    if changes:
        return TaskPlan(task.name, task.type, State.PLANNED, Reason.NONE, _detail(told), changes, told)
    state, reason = _without_changes(told)
    return TaskPlan(task.name, task.type, state, reason, _detail(told), facts=told)


def _changes(host: Host, task: Task, findings: Iterable[Finding]) -> Iterable[Change]:
    seen: set[str] = set()
    for finding in findings:
        if finding.kind != "candidate" or finding.subject in seen:
            continue
        seen.add(finding.subject)
        yield _change(host, task, finding)


def _change(host: Host, task: Task, finding: Finding) -> Change:
    compress = bool(finding.data["compress"])
    identity = {key: finding.data["identity"][key] for key in IDENTITY}
    return make_change(
        host.name,
        task.name,
        Action.COMPRESS_FILE if compress else Action.QUARANTINE_FILE,
        name=str(identity["path"]),
        identity=identity,
        undo=Undo.TRASH,
        effect={"freed_now": 0, "freed_at_purge": int(finding.data["allocated"])},
        note="its compressed copy stays when it is restored" if compress else "",
    )


def _without_changes(told: Mapping[str, Json]) -> tuple[State, Reason]:
    """Nothing to do, unless a pattern could not be looked at."""
    troubles = [pattern["reason"] for pattern in told.get("patterns", ()) if pattern.get("reason")]
    serious = [trouble for trouble in troubles if trouble != Reason.MISSING.value]
    if serious:
        return State.UNKNOWN, _reason(serious[0])
    return State.NOTHING, Reason.UP_TO_DATE if told.get("matched") else Reason.NO_MATCH


def _reason(word: str) -> Reason:
    try:
        return Reason(word)
    except ValueError:
        return Reason.HELPER_ERROR


def _detail(told: Mapping[str, Json]) -> str:
    """One line: how many matched and why how many stay."""
    kept = told.get("kept") or {}
    stay = ", ".join(f"{count} {reason}" for reason, count in sorted(kept.items(), key=lambda one: (-one[1], one[0])))
    troubles = [f"{p['path']}: {p['reason']}" for p in told.get("patterns", ()) if p.get("reason")]
    text = f"{told.get('matched', 0)} matched" + (f"; {stay} stay" if stay else "")
    return "; ".join([text, *troubles])
