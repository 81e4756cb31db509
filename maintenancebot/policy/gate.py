"""The gate: one list of checks, in one order, each with its own reason for a no."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from maintenancebot.model import (
    Action,
    Autonomy,
    Change,
    Decision,
    Host,
    Json,
    Reason,
    State,
)
from maintenancebot.plan.document import HostPlan, TaskPlan
from maintenancebot.policy import allowlist
from maintenancebot.policy.autonomy import autonomy
from maintenancebot.settings import Correct, DriftTask, PackageUpdateTask, Settings, Task

TAKES = frozenset({Action.COMPRESS_FILE, Action.QUARANTINE_FILE})
"""Takes a file from its place."""

FILE_ACTIONS = TAKES | {Action.ROTATE_LOG, Action.RESTORE_FILE}
"""Touches a path of the host, which the allowlist must hold."""

PATH_ACTIONS = FILE_ACTIONS | {Action.CORRECT_FILE}
"""Touches a path of the host; where a corrected file lies, its baseline says."""

REMOVES = {Action.REMOVE_IMAGE, Action.REMOVE_VOLUME, Action.REMOVE_CONTAINER}
"""Takes an object from a container daemon."""

DELETES = TAKES | REMOVES | {Action.PURGE_ITEM, Action.VACUUM_JOURNAL}
"""Counts for the caps: somebody may miss it. A package cache is fetched again, a relocated item stays whole."""

AGE_BASED = DELETES | {Action.REMOVE_BUILD_CACHE}
"""Chosen by age: a clock that is wrong would choose anything."""


@dataclass(frozen=True)
class Guards:
    """The state of all guards at one instant, read before the gate is asked."""

    stopped: str = ""  # the kill switch's reason
    audit_problem: str = ""  # why the audit log cannot be written
    frozen: str = ""  # the freeze that is on
    outside_window: str = ""  # when the window opens
    known_machine_id: str = ""  # what this host was before
    breakers: Mapping[str, str] = field(default_factory=dict)  # rule -> why its changes are held back
    critical: Sequence[str] = ()  # names of critical alerts about the host
    actions_left: int = 1_000_000  # of the budget
    fleet_share: float = 0.0  # share of the fleet's hosts that this run would change
    approved: frozenset[str] = frozenset()  # ids of changes in approved, unexpired, unused plans
    known_bad: Mapping[tuple[str, str], Sequence[str]] = field(default_factory=dict)  # (package, version) -> its hosts


@dataclass(frozen=True)
class Proposal:
    """One change in its surroundings."""

    host: Host
    plan: HostPlan
    task_plan: TaskPlan
    task: Task | None  # None for what a person asks for by hand
    change: Change
    settings: Settings
    earlier: int = 0  # allowed changes before this one, for the budget
    totals: Mapping[str, int] = field(default_factory=lambda: {"files": 0, "bytes": 0, "taken": 0})  # of its deletes


Check = Callable[[Proposal, Guards], str | None]
"""None: no objection; else the no in words."""


def _stopped(_: Proposal, guards: Guards) -> str | None:
    return guards.stopped or None


def _audit(_: Proposal, guards: Guards) -> str | None:
    return guards.audit_problem or None


def _machine(proposal: Proposal, guards: Guards) -> str | None:
    known, seen = guards.known_machine_id, proposal.plan.machine_id
    if not seen:
        return "the host shows no machine-id"
    if known and known != seen:
        return f"this was machine {known}, now {seen} answers; if that is right: hosts trust {proposal.host.name}"
    return None


def _maintenance(proposal: Proposal, _: Guards) -> str | None:
    return "the inventory flags this host as in maintenance" if proposal.host.maintenance else None


def _inventory(proposal: Proposal, _: Guards) -> str | None:
    return proposal.host.stale or None


def _freeze(_: Proposal, guards: Guards) -> str | None:
    return guards.frozen or None


def _window(_: Proposal, guards: Guards) -> str | None:
    return guards.outside_window or None


def _autonomy(proposal: Proposal) -> Autonomy:
    """How much may be done by itself; what a person asks for by hand is not done by itself."""
    if proposal.task is None:
        return Autonomy.AUTO
    return autonomy(proposal.host, [proposal.task], proposal.settings)


def _observe(proposal: Proposal, _: Guards) -> str | None:
    return "autonomy is `observe`" if _autonomy(proposal) is Autonomy.OBSERVE else None


def _accepted(proposal: Proposal, _: Guards) -> str | None:
    """A person's word that came after the plan was made."""
    allowances = proposal.task.allowances if isinstance(proposal.task, DriftTask) else ()
    for one in allowances:
        if one.item == proposal.change.name:
            return f"{one.by} lets it differ until {one.until:%Y-%m-%d %H:%M} UTC: {one.reason}"
    return None


def _known_bad(proposal: Proposal, guards: Guards) -> str | None:
    if proposal.change.action is not Action.UPGRADE_PACKAGE or not isinstance(proposal.task, PackageUpdateTask):
        return None
    pair = str(proposal.change.object.get("package")), str(proposal.change.object.get("to"))
    failed = guards.known_bad.get(pair, ())
    return f"failed on {', '.join(failed)}" if len(failed) > proposal.task.waves.max_failures else None


def _clock(proposal: Proposal, _: Guards) -> str | None:
    limit = proposal.settings.guards.max_clock_skew_seconds
    offset = proposal.plan.clock_offset
    if proposal.change.action in AGE_BASED and not abs(offset) <= limit:  # so that not-a-number is refused too
        return f"the host's clock is {offset:+.0f} s off; ages cannot be trusted"
    return None


def _allowed(proposal: Proposal, _: Guards) -> str | None:
    path = _path(proposal.change)
    if proposal.change.action is Action.CORRECT_FILE and allowlist.is_own(path):
        return "a file of our own"
    if proposal.change.action not in FILE_ACTIONS or _is_replaced_version(proposal.change):
        return None
    if not allowlist.is_allowed(path, proposal.settings.deletion.allow):
        return "outside deletion.allow"
    return None


def _is_replaced_version(change: Change) -> bool:
    """Whether a correction took this file from the very place where it goes back to."""
    return change.action is Action.RESTORE_FILE and change.object.get("replaced") is True


def _protected(proposal: Proposal, _: Guards) -> str | None:
    if proposal.change.action not in PATH_ACTIONS:
        return None
    path = _path(proposal.change)
    rule = allowlist.protecting_rule(path, proposal.settings.deletion.protect)
    return f"protected by {rule}" if rule else None


def _path(change: Change) -> str:
    """The path that a change on files touches; a restored file's is where it goes to."""
    if change.action is Action.RESTORE_FILE:
        return change.name
    return str(change.object.get("name" if change.action is Action.CORRECT_FILE else "path", ""))


def _blast_radius(proposal: Proposal, guards: Guards) -> str | None:
    caps = proposal.settings.deletion.caps
    files, size = proposal.totals["files"], proposal.totals["bytes"]
    if proposal.change.id in guards.approved:
        return None
    if _deletes(proposal.change):
        if files > caps.files:
            return f"{files} objects are more than {caps.files}"
        if size > caps.bytes:
            return f"{size} bytes are more than {caps.bytes}"
        taken, tree = proposal.totals["taken"], _number(proposal.task_plan.facts.get("tree_files"))
        if taken >= caps.share_from_files and tree and taken / tree > caps.share:
            return f"{taken} of {tree} files are more than {caps.share:.0%} of the tree"
    if guards.fleet_share > proposal.settings.guards.fleet_share:
        return f"{guards.fleet_share:.0%} of the fleet would change"
    return None


def _approval(proposal: Proposal, guards: Guards) -> str | None:
    if proposal.change.id in guards.approved:
        return None
    if _autonomy(proposal) is Autonomy.REQUIRED:
        return "autonomy is `required`"
    return "its baseline asks for approval" if proposal.change.object.get("correct") == Correct.APPROVAL else None


def rule_of(task: Task) -> str:
    """By which rule a task's changes count for the circuit breakers."""
    return task.type.value


def _breaker(proposal: Proposal, guards: Guards) -> str | None:
    return guards.breakers.get(rule_of(proposal.task) if proposal.task else proposal.task_plan.task)


def _critical(proposal: Proposal, guards: Guards) -> str | None:
    if proposal.change.action is not Action.REBOOT_HOST or not guards.critical:
        return None
    return f"open about this host: {', '.join(guards.critical)}"


def _budget(proposal: Proposal, guards: Guards) -> str | None:
    if proposal.earlier >= guards.actions_left:
        return f"the budget allows {guards.actions_left} more changes now"
    return None


CHECKS: tuple[tuple[Reason, State, Check], ...] = (
    (Reason.STOPPED, State.SKIPPED, _stopped),
    (Reason.AUDIT_UNWRITABLE, State.SKIPPED, _audit),
    (Reason.MACHINE_CHANGED, State.SKIPPED, _machine),
    (Reason.MAINTENANCE, State.SKIPPED, _maintenance),
    (Reason.INVENTORY_STALE, State.SKIPPED, _inventory),
    (Reason.FREEZE, State.SKIPPED, _freeze),
    (Reason.OUTSIDE_WINDOW, State.SKIPPED, _window),
    (Reason.OBSERVE_ONLY, State.SKIPPED, _observe),
    (Reason.EXPLAINED, State.SKIPPED, _accepted),
    (Reason.KNOWN_BAD, State.SKIPPED, _known_bad),
    (Reason.CRITICAL_ALERT, State.SKIPPED, _critical),
    (Reason.CLOCK_SKEW, State.SKIPPED, _clock),
    (Reason.NOT_ALLOWED, State.SKIPPED, _allowed),
    (Reason.PROTECTED, State.SKIPPED, _protected),
    (Reason.BLAST_RADIUS, State.WAITING, _blast_radius),
    (Reason.NEEDS_APPROVAL, State.WAITING, _approval),
    (Reason.BREAKER_OPEN, State.SKIPPED, _breaker),
    (Reason.BUDGET_SPENT, State.SKIPPED, _budget),
)


RESTORE = frozenset(
    {
        Reason.STOPPED,
        Reason.AUDIT_UNWRITABLE,
        Reason.MACHINE_CHANGED,
        Reason.MAINTENANCE,
        Reason.NOT_ALLOWED,
        Reason.PROTECTED,
    }
)
"""The checks for giving back what a person asks for, at an hour of the person's choice."""

REMEDIATE = RESTORE | {
    Reason.INVENTORY_STALE,
    Reason.CLOCK_SKEW,
    Reason.BLAST_RADIUS,
    Reason.BREAKER_OPEN,
    Reason.BUDGET_SPENT,
}
"""The checks for a full disk that a person wants healed now: neither window nor freeze."""

PURGE = (REMEDIATE | {Reason.FREEZE}) - {Reason.NOT_ALLOWED, Reason.PROTECTED}
"""The checks for a purge, which cron may start and which can wait; it touches our own store alone."""


def decide_by_hand(
    host: Host, plan: HostPlan, settings: Settings, guards: Guards, asked: frozenset[Reason]
) -> list[Decision]:
    """A decision for each change that no configured task lists, by the checks that hold for its purpose."""
    decisions: list[Decision] = []
    for part in plan.tasks:
        totals = _totals(part)
        for change in part.changes:
            earlier = sum(decision.allowed for decision in decisions)
            proposal = Proposal(host, plan, part, None, change, settings, earlier=earlier, totals=totals)
            decisions.append(_first_no(proposal, guards, asked))
    return decisions


def decide(host: Host, plan: HostPlan, tasks: Sequence[Task], settings: Settings, guards: Guards) -> list[Decision]:
    """A decision for each change of a host's plan, in its order."""
    by_name = {task.name: task for task in tasks}
    decisions: list[Decision] = []
    allowed = 0
    for task_plan in plan.tasks:
        totals = _totals(task_plan)
        for change in task_plan.changes:
            task = by_name.get(task_plan.task)
            if task is None:
                no = Decision(change.id, State.SKIPPED, Reason.NOT_SELECTED, "the task is not for this host any more")
                decisions.append(no)
                continue
            proposal = Proposal(host, plan, task_plan, task, change, settings, earlier=allowed, totals=totals)
            decision = ask(proposal, guards)
            allowed += decision.allowed
            decisions.append(decision)
    return decisions


def ask(proposal: Proposal, guards: Guards) -> Decision:
    """The first objection in the list's order, or leave."""
    return _first_no(proposal, guards, frozenset(reason for reason, _, _ in CHECKS))


def _first_no(proposal: Proposal, guards: Guards, asked: frozenset[Reason]) -> Decision:
    for reason, state, check in CHECKS:
        objection = check(proposal, guards) if reason in asked else None
        if objection is not None:
            return Decision(proposal.change.id, state, reason, objection)
    return Decision(proposal.change.id, State.PLANNED, by_approval=proposal.change.id in guards.approved)


def _totals(task_plan: TaskPlan) -> dict[str, int]:
    deletes = [change for change in task_plan.changes if _deletes(change)]
    return {
        "files": len(deletes),
        "bytes": sum(_number(change.object.get("size")) for change in deletes),
        "taken": sum(change.action in TAKES for change in deletes),
    }


def _deletes(change: Change) -> bool:
    """Whether something is gone from its place afterwards that somebody may miss."""
    wanted = change.object.get("wanted")
    is_removed = isinstance(wanted, Mapping) and wanted.get("state") == "absent"
    return change.action in DELETES or (change.action is Action.CORRECT_FILE and is_removed)


def _number(value: Json) -> int:
    """A figure that came from a host: 0 unless it is a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
