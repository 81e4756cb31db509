"""The cycle over the fleet: look at every host, plan, gate, and in a run make what the gate allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from maintenancebot.engine import applying, probing, reporting
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.model import Change, Decision, Host, HostReport, Outcome, Reason, State, Step
from maintenancebot.plan.document import HostPlan, Plan
from maintenancebot.policy import gate
from maintenancebot.policy.gate import Guards
from maintenancebot.remote.fanout import FanOut, Overdue
from maintenancebot.settings import Task

PROBE_GRACE_SECONDS = 60


@dataclass(frozen=True)
class Selected:
    """A host with the tasks that are for it."""

    host: Host
    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class Seen:
    """The fleet after phase one: a plan or a reason for each host."""

    plan: Plan
    looked: Mapping[str, Looked]  # by host name; a name whose machine is already in the run has no plan


@dataclass(frozen=True)
class Judged:
    """The fleet after the gate."""

    seen: Seen
    decisions: Mapping[str, Mapping[str, Decision]]  # host name -> change id -> decision
    outcomes: Mapping[str, Mapping[str, Outcome]] = field(default_factory=dict)


def look(
    selected: Sequence[Selected],
    work: Work,
    *,
    configuration: str,
    refresh: frozenset[str] = frozenset(),
    machine_ids: Mapping[str, str],
    unfinished: Mapping[str, Sequence[Change]],
) -> Seen:
    """Probe and plan all hosts at once; `refresh` names the hosts whose package lists are renewed first."""

    def one(item: Selected) -> Looked:
        name = item.host.name
        work.progress.host(name, None, "probing")
        return probing.look(
            item.host,
            item.tasks,
            work,
            refresh=name in refresh,
            machine_id=machine_ids.get(name, ""),
            unfinished=unfinished.get(name, ()),
        )

    ssh = work.settings.ssh
    limit = ssh.connect_timeout + ssh.login_timeout + ssh.probe_deadline + PROBE_GRACE_SECONDS
    looked: dict[str, Looked] = {}
    asked = [item for item in selected if item.tasks]
    work.progress.start(len(asked), "probe")
    for item, result in FanOut(one, ssh.parallel, limit).results(asked):
        seen = result if isinstance(result, Looked) else _stumbled(item.host, result)
        looked[item.host.name] = seen
        work.progress.host(item.host.name, reporting.state_of_look(seen), seen.detail)
    work.progress.finish()
    looked = _one_name_per_machine([item.host.name for item in asked], looked)
    plan = _seal(work, configuration, [looked[item.host.name] for item in asked])
    return Seen(plan, looked)


def given(plan: Plan, selected: Sequence[Selected]) -> Seen:
    """A plan that was made earlier, as if the fleet had just been looked at; its objects are checked at each change."""
    hosts = {item.host.name: item.host for item in selected}
    return Seen(plan, {host.host: Looked(hosts[host.host], plan=host) for host in plan.hosts})


def judge(selected: Sequence[Selected], seen: Seen, work: Work, guards: Mapping[str, Guards]) -> Judged:
    """Ask the gate about every change of the fleet's plan."""
    by_name = {item.host.name: item for item in selected}
    decisions = {}
    for host_plan in seen.plan.hosts:
        item = by_name[host_plan.host]
        answers = gate.decide(item.host, host_plan, item.tasks, work.settings, guards[host_plan.host])
        decisions[host_plan.host] = {answer.change_id: answer for answer in answers}
    return Judged(seen, decisions)


def make(selected: Sequence[Selected], judged: Judged, work: Work, ledger: Ledger) -> Judged:
    """Make what the gate allowed, host by host in parallel, each recorded before and after."""
    todo = [(item, steps) for item in selected if (steps := _allowed_steps(item, judged, work))]
    machine_ids = {plan.host: plan.machine_id for plan in judged.seen.plan.hosts}

    def one(job: tuple[Selected, list[Step]]) -> dict[str, Outcome]:
        item, steps = job
        return applying.apply(item.host, machine_ids[item.host.name], steps, applying.actors(item.tasks), work, ledger)

    ssh = work.settings.ssh
    limit = ssh.connect_timeout + ssh.login_timeout + ssh.apply_deadline + PROBE_GRACE_SECONDS
    outcomes: dict[str, Mapping[str, Outcome]] = {}
    work.progress.start(len(todo), "apply")
    for (item, steps), result in FanOut(one, ssh.parallel, limit).results(todo):
        made = _lost(steps, result) if isinstance(result, Exception) else result
        outcomes[item.host.name] = made
        work.progress.host(item.host.name, reporting.state_of_outcomes(made), "")
    work.progress.finish()
    return Judged(judged.seen, judged.decisions, outcomes)


def host_reports(selected: Sequence[Selected], judged: Judged) -> tuple[HostReport, ...]:
    """A report for every selected host, in the inventory's order."""
    plans = {plan.host: plan for plan in judged.seen.plan.hosts}
    reports = []
    for item in selected:
        name = item.host.name
        plan = plans.get(name)
        if not item.tasks:
            reports.append(HostReport(name, State.SKIPPED, Reason.NOT_SELECTED, "no task is for this host"))
        elif plan is None:
            reports.append(reporting.without_plan(judged.seen.looked[name]))
        else:
            reports.append(reporting.with_plan(plan, judged.decisions.get(name, {}), judged.outcomes.get(name, {})))
    return tuple(reports)


def fleet_share(seen: Seen, hosts: int) -> float:
    """Share of the hosts that the plan would change."""
    changed = sum(1 for plan in seen.plan.hosts if plan.changes)
    return changed / hosts if hosts else 0.0


def _allowed_steps(item: Selected, judged: Judged, work: Work) -> list[Step]:
    decisions = judged.decisions.get(item.host.name, {})
    allowed = frozenset(change_id for change_id, decision in decisions.items() if decision.allowed)
    plan = next((plan for plan in judged.seen.plan.hosts if plan.host == item.host.name), None)
    return applying.steps_of(plan, allowed, item.tasks, work) if plan and allowed else []


def _stumbled(host: Host, error: Exception) -> Looked:
    return Looked(
        host,
        reason=Reason.DEADLINE if isinstance(error, Overdue) else Reason.INTERNAL_ERROR,
        detail=f"{type(error).__name__}: {error}",
    )


def _lost(steps: Sequence[Step], error: Exception) -> dict[str, Outcome]:
    detail = f"{type(error).__name__}: {error}; looked up at the next start"
    return {
        change.id: Outcome(change.id, State.UNKNOWN, Reason.INTERNAL_ERROR, detail)
        for step in steps
        for change in step.changes
    }


def _one_name_per_machine(names: Sequence[str], looked: dict[str, Looked]) -> dict[str, Looked]:
    """Two names of one machine are one host: the first name in the inventory's order keeps the work."""
    owners: dict[str, str] = {}
    result = dict(looked)
    for name in names:
        plan = looked[name].plan
        if plan is None or not plan.machine_id:
            continue
        owner = owners.setdefault(plan.machine_id, name)
        if owner != name:
            result[name] = Looked(looked[name].host, reason=Reason.SAME_MACHINE, detail=f"the same machine as {owner}")
    return result


def _seal(work: Work, configuration: str, looked: Sequence[Looked]) -> Plan:
    plans: list[HostPlan] = [item.plan for item in looked if item.plan is not None]
    created: datetime = work.now()
    return Plan(
        run_id=work.run_id,
        created_at=created,
        expires_at=created + timedelta(hours=work.settings.guards.plan_valid_hours),
        configuration=configuration,
        hosts=tuple(plans),
    ).sealed()
