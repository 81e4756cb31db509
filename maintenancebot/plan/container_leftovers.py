"""Stopped containers and the build cache: told always, removed only as a task names them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from maintenancebot.model import Action, Change, Finding, Host, Json, Reason, Risk, Undo
from maintenancebot.plan.container_stay import HOUR, Stay, kept_by_label
from maintenancebot.plan.document import make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask

LARGEST_TOLD = 5
STOPPED = frozenset({"exited", "dead"})


def told(result: ProbeResult) -> dict[str, Json]:
    """Figures, and the largest with their names."""
    stopped, cache = _of(result, "stopped"), _of(result, "cache")
    facts: dict[str, Json] = {}
    if stopped:
        facts["stopped_containers"] = _figures([(f.data["name"], f.data["size"]) for f in stopped])
    if cache:
        unused = [f for f in cache if not f.data["in_use"] and not f.data["shared"]]
        facts["build_cache"] = _figures([(f.subject, f.data["size"]) for f in cache]) | {
            "unused_bytes": sum(f.data["size"] for f in unused)
        }
    return facts


def _figures(sizes: Sequence[tuple[str, int]]) -> dict[str, Json]:
    largest = sorted(sizes, key=lambda pair: (-pair[1], pair[0]))[:LARGEST_TOLD]
    return {
        "count": len(sizes),
        "bytes": sum(size for _, size in sizes),
        "largest": [{"name": name, "bytes": size} for name, size in largest],
    }


def _of(result: ProbeResult, kind: str) -> list[Finding]:
    return [finding for finding in result.findings if finding.kind == kind]


def containers(
    host: Host, task: DockerPruneTask, clock: float, result: ProbeResult
) -> tuple[list[Change], list[tuple[str, Stay]]]:
    """Those that a glob of the task names and that stopped long enough ago."""
    changes: list[Change] = []
    stays: list[tuple[str, Stay]] = []
    for finding in _of(result, "stopped"):
        row = finding.data
        if any(fnmatchcase(row["name"], glob) for glob in task.stopped_containers):
            stay = _container_stays(task, row, clock)
            if stay is None:
                changes.append(_container(host, task, finding, result.facts))
            else:
                stays.append((f"container {row['name']}", stay))
    return changes, stays


def _container_stays(task: DockerPruneTask, row: Mapping[str, Json], clock: float) -> Stay | None:
    ended = row["ended"]
    if row["state"] not in STOPPED:
        return Stay(Reason.KEPT, f"it is {row['state']}")
    if (label := kept_by_label(row["labels"], task.keep_labels)) is not None:
        return label
    if ended is None:
        return Stay(Reason.AGE_UNKNOWN, "the daemon does not tell when it ended")
    if ended > clock:
        return Stay(Reason.TIME_IMPLAUSIBLE, "it ended in the future, by the host's clock")
    if clock - ended < task.min_age_hours * HOUR:
        return Stay(Reason.TOO_YOUNG, f"ended {(clock - ended) / HOUR:.0f} h ago")
    return None


def _container(host: Host, task: DockerPruneTask, finding: Finding, facts: Mapping[str, Json]) -> Change:
    row = finding.data
    identity = {"id": row["id"], "name": row["full_name"], "finished": row["finished"], "size": row["size"]}
    return make_change(
        host.name,
        task.name,
        Action.REMOVE_CONTAINER,
        name=row["name"],
        identity={**identity, **_place(facts)},
        undo=Undo.NONE,
        risk=Risk.HIGH,
        effect={"freed_at_most": row["size"]},
        note="its own layer and logs go with it and cannot be brought back; its volumes stay",
    )


def cache(host: Host, task: DockerPruneTask, clock: float, result: ProbeResult) -> list[Change]:
    """Records of the build cache that are not in use and were not used for long, children before parents."""
    records = _of(result, "cache")
    needed = _with_parents(records, [one for one in records if not _may_go(one.data, task, clock)])
    going = [finding for finding in records if finding.subject not in needed]
    return [_record(host, task, finding, result.facts) for finding in _children_first(going)]


def _may_go(row: Mapping[str, Json], task: DockerPruneTask, clock: float) -> bool:
    """Whether nothing of its own keeps it; what an image shares frees nothing."""
    used = row["idle_since"]
    if row["in_use"] or row["shared"] or used is None:
        return False
    return bool(clock - used >= task.min_age_hours * HOUR)


def _with_parents(records: Sequence[Finding], staying: Sequence[Finding]) -> set[str]:
    """The records that stay, and all that they are built on: the daemon removes no record below another."""
    parents = {finding.subject: finding.data["parents"] for finding in records}
    needed: set[str] = set()
    waiting = [finding.subject for finding in staying]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += parents.get(name, ())
    return needed


def _children_first(records: Sequence[Finding]) -> list[Finding]:
    parents = {finding.subject: finding.data["parents"] for finding in records}

    def depth(name: str, left: int) -> int:
        above = [parent for parent in parents[name] if parent in parents and left]
        return 1 + max((depth(parent, left - 1) for parent in above), default=0)

    return sorted(records, key=lambda finding: (-depth(finding.subject, 50), finding.subject))


def _record(host: Host, task: DockerPruneTask, finding: Finding, facts: Mapping[str, Json]) -> Change:
    row = finding.data
    return make_change(
        host.name,
        task.name,
        Action.REMOVE_BUILD_CACHE,
        name=f"build cache {finding.subject}",
        identity={"id": finding.subject, "last_used": row["last_used"], "size": row["size"], **_place(facts)},
        undo=Undo.REFETCH,
        risk=Risk.LOW,
        effect={"freed_at_most": row["size"]},
        note="the next build makes it again",
    )


def _place(facts: Mapping[str, Json]) -> dict[str, Json]:
    return {"data_root": facts.get("data_root", ""), "socket": facts.get("socket", "")}
