"""A full file system, from the measure to the verdict: each step takes plain values and gives plain values back.

diagnose (measure, look, plan) -> gate -> act -> measure -> verdict
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from maintenancebot.catalog import DISK, DISK_PROBE, SUBJECTS, TRASH_PROBE
from maintenancebot.engine import asked, probing
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import (
    GUARD_REASONS,
    Change,
    Host,
    HostFacts,
    HostReport,
    Json,
    Reason,
    State,
    Step,
    TaskReport,
    TaskType,
    worst,
)
from maintenancebot.plan import disk as planner
from maintenancebot.plan import filesystem
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.filesystem import Disk
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.plan.ways import TASK
from maintenancebot.settings import CleanupTask, Settings, Way


class Ranking(Protocol):
    """In which order the ways are gone that the configuration allows; it adds none and takes none away."""

    def order(self, ways: Sequence[Way], disk: Disk) -> Sequence[Way]:
        """The same ways, the best for this disk first."""
        ...


class AsConfigured:
    """The order of the configuration, always the same."""

    def order(self, ways: Sequence[Way], disk: Disk) -> Sequence[Way]:
        """As they are."""
        return ways


def diagnose(
    host: Host,
    mount: str,
    tasks: Sequence[CleanupTask],
    work: Work,
    *,
    ranking: Ranking | None = None,
    tried: frozenset[str] = frozenset(),
) -> Looked:
    """Look at a mount and at all that may be freed on it, and plan; `tasks` are the host's cleanup tasks.

    Changes that were `tried` are not planned again.
    """
    task = planner.cleanup_task(work.settings, tasks)
    questions = {DISK_PROBE.OP: DISK_PROBE.request(mount, work.settings), TRASH_PROBE.OP: TRASH_PROBE.request()}
    cleanup = SUBJECTS[TaskType.CLEANUP]
    if task is not None:
        questions[cleanup.probe.OP] = cleanup.probe.request(task, work.settings, host, refresh=False) or {}
    try:
        machine, facts, results = probing.ask(host, questions, work)
    except RemoteError as error:
        return Looked(host, reason=error.reason, detail=str(error))
    planned = _plan(host, task, facts, results, work, ranking or AsConfigured())
    planned = untried(planned, tried)
    return Looked(host, plan=replace(machine, tasks=(planned,)), machine_id=machine.machine_id)


def act(judged: Judged, work: Work, ledger: Ledger, brakes: Brakes) -> Judged:
    """Make what the gate allowed, until the host measures that it is enough."""
    (plan,) = judged.seen.plan.hosts
    (task,) = plan.tasks

    def steps(changes: Sequence[Change]) -> list[Step]:
        return DISK.steps(changes, work.settings, task.facts["disk"]["mount"], task.facts["goal"])

    return asked.make(judged, steps, {TASK: DISK}, work, ledger, brakes, verdict_follows=True)


def measure(host: Host, mount: str, work: Work) -> Disk:
    """How full the mount is now, and what uses it if that is too much; raises RemoteError."""
    _, result = probing.ask_one(host, DISK_PROBE.OP, DISK_PROBE.request(mount, work.settings), work)
    if result.state is not State.DONE:
        raise RemoteError(result.reason, result.detail)
    try:
        return filesystem.read(result)
    except (KeyError, TypeError, ValueError) as error:
        raise RemoteError(Reason.GARBLED, f"the measure cannot be read: {error!r}") from error


def verdict(report: HostReport, after: Disk | RemoteError) -> HostReport:
    """The report with what was measured afterwards; the measure decides, not what the changes say of themselves."""
    (task,) = report.tasks
    if isinstance(after, RemoteError):
        state = worst([task.state, State.UNKNOWN])
        judged = replace(task, state=state, reason=after.reason, detail=f"not measured afterwards: {after}")
    else:
        judged = _judged(task, after)
    return replace(report, state=judged.state, reason=judged.reason, tasks=(judged,))


def expected(report: HostReport) -> HostReport:
    """The report of a dry run: planned changes that are not enough for sure are no success."""
    (task,) = report.tasks
    if task.state is not State.PLANNED or task.facts["is_enough"]:
        return report
    told = replace(task, state=State.FAILED, reason=Reason.NOT_ENOUGH)
    return replace(report, state=told.state, reason=told.reason, tasks=(told,))


def _plan(
    host: Host,
    task: CleanupTask | None,
    facts: HostFacts,
    results: dict[str, ProbeResult],
    work: Work,
    ranking: Ranking,
) -> TaskPlan:
    looked = results[DISK_PROBE.OP]
    if looked.state is not State.DONE:
        state = State.FAILED if looked.reason is Reason.MISSING else looked.state  # nothing was healed by a wrong name
        return TaskPlan(TASK, TaskType.CLEANUP, state, looked.reason, looked.detail)
    try:
        cleanup = _cleanup(host, task, facts, results, work)
        items = TRASH_PROBE.items(host.name, results[TRASH_PROBE.OP].findings)
        disk = filesystem.read(looked)
        settings = ranked(work.settings, disk, ranking)
        planned = planner.plan(host.name, disk, cleanup.changes, items, settings, work.now())
    except Exception as error:  # what the host said cannot be planned with
        told = f"the answer cannot be read ({type(error).__name__}: {error})"
        return TaskPlan(TASK, TaskType.CLEANUP, State.UNKNOWN, Reason.GARBLED, told)
    return _with_what_stays(planned, cleanup, results[TRASH_PROBE.OP])


def ranked(settings: Settings, disk: Disk, ranking: Ranking) -> Settings:
    """The settings with their ways in the order of a ranking; a ranking that is none is passed over."""
    allowed = settings.remediation.disk.ways
    try:
        order = tuple(ranking.order(allowed, disk))
    except Exception:  # whoever ranks has nothing to decide: the configuration's order always stands
        return settings
    if sorted(order) != sorted(allowed):
        return settings
    healing = settings.remediation.disk.model_copy(update={"ways": order})
    return settings.model_copy(update={"remediation": settings.remediation.model_copy(update={"disk": healing})})


def untried(planned: TaskPlan, tried: frozenset[str]) -> TaskPlan:
    """The plan without what was tried before: that it did not help then is no reason to do it again."""
    left = tuple(change for change in planned.changes if change.id not in tried)
    if len(left) == len(planned.changes):
        return planned
    facts = {**planned.facts, "is_enough": False}
    if left:
        return replace(planned, changes=left, facts=facts)
    detail = f"{planned.detail}; all that is allowed was tried"
    return replace(planned, changes=(), state=State.FAILED, reason=Reason.NOT_ENOUGH, detail=detail, facts=facts)


def _cleanup(
    host: Host, task: CleanupTask | None, facts: HostFacts, results: dict[str, ProbeResult], work: Work
) -> TaskPlan:
    """What a cleanup would do, on whichever file system."""
    if task is None:
        return TaskPlan(TASK, TaskType.CLEANUP, State.NOTHING)
    subject = SUBJECTS[TaskType.CLEANUP]
    return subject.planner.plan(host, task, work.settings, facts, results[subject.probe.OP])


def _with_what_stays(planned: TaskPlan, cleanup: TaskPlan, trash: ProbeResult) -> TaskPlan:
    """The plan with why old files stay; where nothing was found and not all was looked at, that is unknown."""
    trees = {"tree_files": cleanup.facts["tree_files"]} if "tree_files" in cleanup.facts else {}
    facts = {**planned.facts, **trees, "cleanup": cleanup.detail}
    if planned.state is not State.FAILED:
        return replace(planned, facts=facts)
    detail = f"{planned.detail}; old files: {cleanup.detail}" if cleanup.detail else planned.detail
    for part in (cleanup, trash):
        if part.state in (State.UNKNOWN, State.SKIPPED):
            return replace(
                planned, state=part.state, reason=part.reason, detail=f"{detail}; {part.detail}", facts=facts
            )
    return replace(planned, detail=detail, facts=facts)


def _judged(task: TaskReport, after: Disk) -> TaskReport:
    before, now, target = task.facts["disk"], after.measure, task.facts["target_percent"]
    freed = now.available - before["available"]
    facts: dict[str, Json] = {**task.facts, "after": filesystem.told(after), "freed": freed}
    state, reason = _state(task, met=not filesystem.need(now, target))
    if reason is Reason.NOT_ENOUGH and freed <= 0 and any(one.state is State.DONE for one in task.changes):
        reason = Reason.NO_EFFECT
    detail = f"{after.mount}: {_from_to(before, after)}, {filesystem.size(max(0, freed))} freed"
    if reason is not Reason.VERIFIED:
        detail = "; ".join(filter(None, (detail, f"the target is below {target} %", filesystem.occupants(after))))
    return replace(task, state=state, reason=reason, detail=detail, facts=facts)


def _from_to(before: Json, after: Disk) -> str:
    now, scarce = after.measure, before["inode_percent"] > before["percent"]
    if scarce:
        return f"{before['inode_percent']} % -> {now.inode_percent} % of the inodes"
    return f"{before['percent']} % -> {now.percent} %"


def _state(task: TaskReport, *, met: bool) -> tuple[State, Reason]:
    """What went wrong with a change stands over the target; the target over what was left alone."""
    for state in (State.FAILED, State.UNKNOWN):
        bad = [change.reason for change in task.changes if change.state is state]
        if bad:
            return state, bad[0]
    if met:
        made = any(change.state is State.DONE for change in task.changes)
        return (State.DONE, Reason.VERIFIED) if made else (State.NOTHING, Reason.TARGET_MET)
    for change in task.changes:
        if change.state is State.WAITING or (change.state is State.SKIPPED and change.reason in _LEFT_ALONE):
            return change.state, change.reason
    return State.FAILED, Reason.NOT_ENOUGH


_LEFT_ALONE = GUARD_REASONS | {Reason.OBSERVE_ONLY, Reason.MAINTENANCE}
"""Reasons that say more than that it is still too full."""
