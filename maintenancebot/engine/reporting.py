"""Turns plans, decisions and outcomes into the states of a host's report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from maintenancebot.engine.probing import Looked
from maintenancebot.model import (
    GUARD_REASONS,
    Change,
    ChangeReport,
    Decision,
    HostReport,
    Json,
    Outcome,
    Reason,
    State,
    TaskReport,
    worst,
)
from maintenancebot.plan.document import HostPlan, TaskPlan

VERDICT = "verdict_state"  # a planner's verdict beside its changes, e.g. an expired certificate that nothing renews
VERDICT_REASON = "verdict_reason"
UNLESS_DONE = "failed_unless_done"  # reason and detail of a failure that the changes, once made, would cure
LEFT_ALONE = "failed_if_left_alone"  # reason of a failure, where the host itself leaves a change alone
MOST_NAMED = 5
_OF_HOST = {
    Reason.MACHINE_CHANGED: State.SKIPPED,
    Reason.SAME_MACHINE: State.SKIPPED,
    Reason.INTERRUPTED: State.SKIPPED,
    Reason.NOT_SELECTED: State.SKIPPED,
}


def state_of_look(looked: Looked) -> State:
    """The state of a host after phase one."""
    if looked.plan is None:
        return _OF_HOST.get(looked.reason, State.UNKNOWN)
    return worst([task.state for task in looked.plan.tasks])


def state_of_outcomes(outcomes: Mapping[str, Outcome]) -> State:
    """The state of a host after phase two."""
    return worst([outcome.state for outcome in outcomes.values()])


def without_plan(looked: Looked) -> HostReport:
    """A host that could not be looked at."""
    return HostReport(looked.host.name, state_of_look(looked), looked.reason, looked.detail)


def with_plan(plan: HostPlan, decisions: Mapping[str, Decision], outcomes: Mapping[str, Outcome]) -> HostReport:
    """A host with its tasks; outcomes stand over decisions, decisions over the plan."""
    tasks = tuple(_task(task, decisions, outcomes) for task in plan.tasks)
    state = worst([task.state for task in tasks])
    return HostReport(plan.host, state, _shared_reason(tasks, state), "", tasks, _facts(plan))


def with_unfinished(report: HostReport, recalled: Sequence[Outcome]) -> HostReport:
    """A host whose earlier, unfinished changes turned out bad, or could not be settled, is not well."""
    bad = [outcome for outcome in recalled if outcome.state in (State.FAILED, State.UNKNOWN)]
    if not bad:
        return report
    state = worst([report.state, *(outcome.state for outcome in bad)])
    detail = f"{len(bad)} changes of an earlier run ended badly or unknown; see the notes"
    return replace(report, state=state, reason=Reason.UNFINISHED, detail=detail)


def _task(task: TaskPlan, decisions: Mapping[str, Decision], outcomes: Mapping[str, Outcome]) -> TaskReport:
    changes = tuple(_change(change, decisions, outcomes) for change in task.changes)
    if not changes:
        return TaskReport(task.task, task.type, task.state, task.reason, task.detail, (), task.facts)
    task = _with_left_alone(task, [one for one in changes if one.change.id in outcomes])
    states = [change.state for change in changes]
    verdict = task.facts.get(VERDICT)
    if verdict:
        states.append(State(verdict))
    uncured = task.facts.get(UNLESS_DONE)
    if uncured and all(change.state in (State.DONE, State.PLANNED) for change in changes):
        uncured = None
    state = State.FAILED if uncured else worst(states)
    facts = _with_freed(task, changes)
    said = task.facts.get(VERDICT_REASON) if verdict == state else None
    reason = _shared_reason(changes, state) if said is None else Reason(said)
    if reason is Reason.NONE and uncured:
        reason = Reason(uncured["reason"])
    detail = "; ".join(filter(None, [task.detail, uncured["detail"] if uncured else ""]))
    return TaskReport(task.task, task.type, state, reason, detail, changes, facts)


def _with_left_alone(task: TaskPlan, made: Sequence[ChangeReport]) -> TaskPlan:
    """The task with its own verdict on what a host would not do: nobody else tells that it is as bad as before."""
    reason = task.facts.get(LEFT_ALONE)
    left = [one for one in made if one.state is State.SKIPPED and one.reason not in _SAYS_SO_ITSELF]
    if not reason or not left:
        return task
    is_failed = task.facts.get(VERDICT) == State.FAILED
    said = task.facts.get(VERDICT_REASON) if is_failed else reason
    named = ", ".join(f"{one.change.name} ({one.reason.value})" for one in left[:MOST_NAMED])
    more = f" and {len(left) - MOST_NAMED} more" if len(left) > MOST_NAMED else ""
    detail = "; ".join(filter(None, (task.detail, f"{len(left)} left alone by the host: {named}{more}")))
    facts = {**task.facts, VERDICT: State.FAILED.value, VERDICT_REASON: said}
    return replace(task, detail=detail, facts=facts)


_SAYS_SO_ITSELF = GUARD_REASONS | {Reason.BUSY}
"""Reasons of a change left alone by which a run does not end well anyway."""


def _change(change: Change, decisions: Mapping[str, Decision], outcomes: Mapping[str, Outcome]) -> ChangeReport:
    outcome = outcomes.get(change.id)
    if outcome is not None:
        return ChangeReport(change, outcome.state, outcome.reason, outcome.detail, outcome.measured)
    decision = decisions[change.id]
    return ChangeReport(change, decision.state, decision.reason, decision.detail)


def _shared_reason(parts: Sequence[ChangeReport] | Sequence[TaskReport], state: State) -> Reason:
    """The commonest reason among the parts that decided the state."""
    reasons = Counter(part.reason for part in parts if part.state is state)
    return reasons.most_common(1)[0][0] if reasons else Reason.NONE


def _with_freed(task: TaskPlan, changes: Sequence[ChangeReport]) -> dict[str, Json]:
    facts = dict(task.facts)
    for key in ("freed_now", "freed_at_purge"):
        found = [change.measured[key] for change in changes if key in change.measured]
        if found:
            facts[key] = sum(value for value in found if isinstance(value, int))
    return facts


def _facts(plan: HostPlan) -> dict[str, Json]:
    return {**plan.facts, "machine_id": plan.machine_id, "boot_id": plan.boot_id}
