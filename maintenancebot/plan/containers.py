"""Chooses what of a container daemon may go. Pure. Each object that stays has its reason; in doubt it stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from maintenancebot.model import Change, Host, HostFacts, Json, Reason, State
from maintenancebot.plan import container_images as images
from maintenancebot.plan import container_leftovers as leftovers
from maintenancebot.plan import container_memory as memory
from maintenancebot.plan import container_volumes as volumes
from maintenancebot.plan.container_stay import Part, Stay
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask, Settings, Task

KIND = "containers"
LISTED = 200  # objects that stay are listed up to this many, counted always


def learned(task: Task, result: ProbeResult, known: Mapping[str, Json], at: float) -> Mapping[str, Json]:
    """What this look adds to what earlier looks saw of images and volumes."""
    return memory.learned(result, known, at)


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """What nothing uses or names, and is old enough here: of each kind that the task wants to go."""
    assert isinstance(task, DockerPruneTask)
    if result.state is not State.DONE:
        return TaskPlan(task.name, task.type, result.state, result.reason, result.detail, facts=_told(result.facts))
    if not result.facts.get("engine"):
        return TaskPlan(task.name, task.type, State.NOTHING, Reason.NOT_INSTALLED, _elsewhere(result.facts))
    found = images.images(result)
    report = _report(result, found)
    if not _wants_anything(task):
        return TaskPlan(task.name, task.type, State.NOTHING, Reason.NOT_CONFIGURED, "no removal is on", facts=report)
    changes, kept = leftovers.containers(host, task, facts.clock, result)
    going = images.choose(host, task, facts, found, result) if task.remove_unused_images else ([], [])
    for more, stays in (going, _volumes(host, task, facts, result)):
        changes += more
        kept += stays
    if task.build_cache:
        changes += leftovers.cache(host, task, facts.clock, result)
    report |= _kept_facts(kept)
    state, reason, detail = _verdict(facts, result, changes, kept)
    return TaskPlan(task.name, task.type, state, reason, detail, tuple(changes), report)


def _wants_anything(task: DockerPruneTask) -> bool:
    wanted = (task.remove_unused_images, task.remove_dangling_volumes, task.build_cache, task.stopped_containers)
    return any(wanted)


def _report(result: ProbeResult, found: Sequence[images.Image]) -> dict[str, Json]:
    """What there is, whatever goes."""
    used = volumes.users(result)
    names = [volume.name for volume in volumes.volumes(result)]
    return {
        **_told(result.facts),
        **leftovers.told(result),
        "images": len(found),
        "containers": sum(finding.kind == "container" for finding in result.findings),
        "volumes": {"total": len(names), "unused": sum(name not in used for name in names)},
    }


def _volumes(host: Host, task: DockerPruneTask, facts: HostFacts, result: ProbeResult) -> Part:
    if not task.remove_dangling_volumes:
        return [], []
    ours = facts.clock - facts.clock_offset
    chosen = volumes.choose(task, result, result.facts.get(memory.FACT, {}), ours)
    return [volumes.change(host, task.name, one, result.facts) for one in chosen.going], list(chosen.stays)


def _verdict(
    facts: HostFacts,
    result: ProbeResult,
    changes: Sequence[Change],
    kept: Sequence[tuple[str, Stay]],
) -> tuple[State, Reason, str]:
    """The task's own state; that objects stay because nobody could look for their users is said in the headline."""
    if changes:
        return State.PLANNED, Reason.NONE, ""
    if any(stay.reason is Reason.USE_UNKNOWN for _, stay in kept):
        reason = Reason.USE_UNKNOWN if facts.is_root else Reason.NEEDS_ROOT
        gaps = [*images.gaps(result.facts), *volumes.gaps(result.facts)]
        return State.SKIPPED, reason, f"who uses the images and volumes cannot be seen: {gaps[0]}"
    return State.NOTHING, Reason.UP_TO_DATE, ""


def _kept_facts(kept: Sequence[tuple[str, Stay]]) -> dict[str, Json]:
    return {
        "kept": dict(Counter(stay.reason.value for _, stay in kept)),
        "kept_objects": [
            {"object": name, "reason": stay.reason.value, "detail": stay.detail} for name, stay in kept[:LISTED]
        ],
    }


def _told(facts: Mapping[str, Json]) -> dict[str, Json]:
    """The facts that belong into a report."""
    told = (
        "engine",
        "version",
        "data_root",
        "driver",
        "store",
        "swarm",
        "file_system",
        "not_searched",
        "not_measured",
        "under_way",
        "logs",
        "other_sockets",
    )
    return {key: facts[key] for key in told if facts.get(key)}


def _elsewhere(facts: Mapping[str, Json]) -> str:
    others = facts.get("other_sockets") or ()
    return f"daemons of single users are not looked into: {', '.join(others)}" if others else ""
