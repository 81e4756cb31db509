"""Chooses what a cleanup does. Pure: the helper judged each file, cache, journal and log; this makes the changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from maintenancebot.model import Action, Change, Finding, Host, HostFacts, Json, Reason, Risk, State, Undo
from maintenancebot.plan import logs_told
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import CleanupTask, Keeping, Settings, Task

IDENTITY = ("path", "root", "dev", "ino", "size", "mtime_ns", "ctime_ns", "mode", "uid", "gid")
"""All that must still hold when a file is touched."""

NOTES = {
    Keeping.HERE: "",
    Keeping.COMPRESSED: "compressed in the trash",
    Keeping.ELSEWHERE: "to the trash on another file system",
    Keeping.OFFLOADED: "to the object store",
}


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """A change for each finding, once; counts and reasons of what stays are in the facts."""
    assert isinstance(task, CleanupTask)
    told = dict(result.facts)
    if result.state is not State.DONE:
        return TaskPlan(task.name, task.type, result.state, result.reason, result.detail, facts=told)
    changes = tuple(sorted(_changes(host, task, result.findings), key=lambda change: (_place(change), change.name)))
    told["bytes"] = sum(int(change.effect["freed_at_purge"]) for change in changes)
    detail = logs_told.detail(told)
    if changes:
        return TaskPlan(task.name, task.type, State.PLANNED, Reason.NONE, detail, changes, told)
    state, reason = logs_told.without_changes(told)
    return TaskPlan(task.name, task.type, state, reason, detail, facts=told)


def _changes(host: Host, task: CleanupTask, findings: Iterable[Finding]) -> Iterable[Change]:
    seen: set[tuple[str, str]] = set()
    for finding in findings:
        make = MAKERS.get(finding.kind)
        if make is None or (finding.kind, finding.subject) in seen:
            continue
        seen.add((finding.kind, finding.subject))
        yield make(host, task, finding)


def _place(change: Change) -> int:
    """What its owner makes again goes first, what takes room comes last."""
    return ORDER.index(change.action)


def _file(host: Host, task: CleanupTask, finding: Finding) -> Change:
    compress = bool(finding.data["compress"])
    identity = {key: finding.data["identity"][key] for key in IDENTITY}
    if "link" in finding.data:
        identity["link"] = finding.data["link"]
    if task.keep is not Keeping.HERE:
        identity["keep"] = task.keep.value
    notes = (
        "its compressed copy stays when it is restored" if compress else "",
        f"a link to {finding.data['link']}" if "link" in finding.data else "",
        NOTES[task.keep],
    )
    return make_change(
        host.name,
        task.name,
        Action.COMPRESS_FILE if compress else Action.QUARANTINE_FILE,
        name=str(identity["path"]),
        identity=identity,
        undo=Undo.TRASH,
        effect=_effect(task.keep, int(finding.data["allocated"])),
        note="; ".join(note for note in notes if note),
    )


def _effect(keep: Keeping, allocated: int) -> dict[str, Json]:
    """Expected space on the file's own file system; what compressing frees nobody knows before."""
    away = keep in (Keeping.ELSEWHERE, Keeping.OFFLOADED)
    return {"freed_now": allocated, "freed_at_purge": 0} if away else {"freed_now": 0, "freed_at_purge": allocated}


def _cache(host: Host, task: CleanupTask, finding: Finding) -> Change:
    data = finding.data
    return make_change(
        host.name,
        task.name,
        Action.DROP_PACKAGE_CACHE,
        name=finding.subject,
        identity={key: data[key] for key in ("tool", "folder", "dev", "size", "files")},
        undo=Undo.REFETCH,
        effect={"freed_now": int(data["allocated"]), "freed_at_purge": 0},
        note=f"{len(data['files'])} packages of {data['tool']}",
    )


def _journal(host: Host, task: CleanupTask, finding: Finding) -> Change:
    data = finding.data
    active = sum(bool(row[4]) for row in data["files"])
    notes = (f"{len(data['files'])} files", f"{active} of them rotated first" if active else "")
    return make_change(
        host.name,
        task.name,
        Action.VACUUM_JOURNAL,
        name=finding.subject,
        identity={"folder": data["folder"], "dev": data["dev"], "size": int(data["allocated"]), "files": data["files"]},
        undo=Undo.NONE,
        risk=Risk.MEDIUM,
        effect={"freed_now": int(data["allocated"]), "freed_at_purge": 0},
        note="; ".join(note for note in notes if note),
    )


def _rotation(host: Host, task: CleanupTask, finding: Finding) -> Change:
    data = finding.data
    reload = data["identity"]["reload"] if data["writers"] else ""
    return make_change(
        host.name,
        task.name,
        Action.ROTATE_LOG,
        name=finding.subject,
        identity=dict(data["identity"]),
        undo=Undo.RENAME,
        risk=Risk.MEDIUM if reload else Risk.LOW,
        effect={"freed_now": 0, "freed_at_purge": 0, "size": int(data["size"])},
        note=f"reloads {reload}" if reload else "",
    )


MAKERS: Mapping[str, Callable[[Host, CleanupTask, Finding], Change]] = {
    "candidate": _file,
    "package_cache": _cache,
    "journal": _journal,
    "growing_log": _rotation,
}
"""Kind of finding -> what makes its change."""

ORDER = (
    Action.DROP_PACKAGE_CACHE,
    Action.VACUUM_JOURNAL,
    Action.QUARANTINE_FILE,
    Action.COMPRESS_FILE,
    Action.ROTATE_LOG,
)
