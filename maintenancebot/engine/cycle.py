"""The cycle over the fleet: look at every host, plan, gate, and in a run make what the gate allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from maintenancebot.engine import applying, pinging, probing, reporting, waves
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.holding import LOOK_WAIT_SECONDS, Holding
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.making import GRACE_SECONDS, Job
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.waves import Turn
from maintenancebot.engine.work import Work
from maintenancebot.errors import BusyError, StoreError
from maintenancebot.model import Change, Decision, Host, HostReport, Outcome, Reason, State, Step
from maintenancebot.plan.document import HostPlan, NotPlanned, Plan
from maintenancebot.policy import gate
from maintenancebot.policy.gate import Guards
from maintenancebot.remote.fanout import FanOut, OverdueError
from maintenancebot.settings import PackageUpdateTask, Task, Waves


@dataclass(frozen=True)
class Selected:
    """A host with the tasks that are for it."""

    host: Host
    tasks: tuple[Task, ...]


class Refresh(Protocol):
    """Whether a host's package lists may be renewed, asked right before, and told what came of it."""

    def begin(self, item: Selected) -> bool: ...
    def end(self, item: Selected, looked: Looked) -> None: ...


@dataclass(frozen=True)
class Seen:
    """The fleet after phase one: a plan or a reason for each host."""

    plan: Plan
    looked: Mapping[str, Looked]  # by host name; a name whose machine is already in the run has no plan
    fresh: bool = True  # false for a plan that was made earlier


@dataclass(frozen=True)
class Judged:
    """The fleet after the gate."""

    seen: Seen
    decisions: Mapping[str, Mapping[str, Decision]]  # host name -> change id -> decision
    outcomes: Mapping[str, Mapping[str, Outcome]] = field(default_factory=dict)

    def approved(self, host: str) -> frozenset[str]:
        """Changes of a host that are allowed because a person approved them."""
        return frozenset(id for id, decision in self.decisions[host].items() if decision.by_approval)


def look(
    selected: Sequence[Selected],
    work: Work,
    *,
    configuration: str,
    refresh: Refresh,
    machine_ids: Mapping[str, str],
    unfinished: Mapping[str, Sequence[Change]],
    holding: Holding | None = None,
) -> Seen:
    """Probe and plan all hosts at once; `refresh` says whose package lists are renewed first, and records it.

    With `holding` each host is held meanwhile; a look that writes nothing anywhere does without.
    """
    looks = _Looks(work, refresh, machine_ids, unfinished, holding)
    looked: dict[str, Looked] = {}
    asked = [item for item in selected if item.tasks or unfinished.get(item.host.name)]
    work.progress.start(len(asked), "probe")
    for item, result in FanOut(looks.at, work.settings.ssh.parallel, looks.limit).results(asked):
        seen = result if isinstance(result, Looked) else _stumbled(item.host, result)
        looked[item.host.name] = seen if item.tasks else _only_recalled(seen)
        work.progress.host(item.host.name, reporting.state_of_look(seen), seen.detail)
    work.progress.finish()
    looked = one_name_per_machine([item.host.name for item in asked], looked)
    plan = _seal(work, configuration, [looked[item.host.name] for item in asked])
    return Seen(plan, looked)


@dataclass(frozen=True)
class _Looks:
    """Looks at single hosts, each held meanwhile where there is a `holding`."""

    work: Work
    refresh: Refresh
    machine_ids: Mapping[str, str]
    unfinished: Mapping[str, Sequence[Change]]
    holding: Holding | None

    @property
    def limit(self) -> float:
        """Seconds after which a look is given up, whatever it waits for."""
        ssh, wait = self.work.settings.ssh, LOOK_WAIT_SECONDS if self.holding else 0
        return ssh.connect_timeout + ssh.login_timeout + ssh.probe_deadline + wait + GRACE_SECONDS

    def at(self, item: Selected) -> Looked:
        """One host; a host that another piece of work holds, and a store that fails, are answers too."""
        name, holding = item.host.name, self.holding
        try:
            with holding.host(name, "a look", wait=LOOK_WAIT_SECONDS) if holding else nullcontext():
                return self._alone(item)
        except BusyError as error:
            if self.work.stop.is_set():
                return _interrupted(item)
            return Looked(item.host, reason=Reason.BUSY, detail=str(error))
        except StoreError as error:
            return Looked(item.host, reason=Reason.AUDIT_UNWRITABLE, detail=str(error))

    def _alone(self, item: Selected) -> Looked:
        name, work = item.host.name, self.work
        if work.stop.is_set():
            return _interrupted(item)
        work.progress.host(name, None, "probing")
        renew = self.refresh.begin(item)
        known, unfinished = self.machine_ids.get(name, ""), self.unfinished.get(name, ())
        looked = probing.look(item.host, item.tasks, work, refresh=renew, machine_id=known, unfinished=unfinished)
        if renew:
            self.refresh.end(item, looked)
        return looked


def given(plan: Plan, selected: Sequence[Selected]) -> Seen:
    """A plan that was made earlier, as if the fleet had just been looked at; its objects are checked at each change."""
    hosts = {item.host.name: item.host for item in selected}
    looked = {host.host: Looked(hosts[host.host], plan=host, machine_id=host.machine_id) for host in plan.hosts}
    for item in plan.not_planned:
        if item.host in hosts:
            looked[item.host] = Looked(hosts[item.host], reason=item.reason, detail=f"when planned: {item.detail}")
    return Seen(plan, looked, fresh=False)


def with_recalled(given: Seen, asked: Seen) -> Seen:
    """A given plan with what its hosts told of earlier, unfinished changes."""
    looked = dict(given.looked)
    for host, found in asked.looked.items():
        looked[host] = replace(looked.get(host, found), recalled=found.recalled)
    return replace(given, looked=looked)


def judge(selected: Sequence[Selected], seen: Seen, work: Work, guards: Mapping[str, Guards]) -> Judged:
    """Ask the gate about every change of the fleet's plan."""
    by_name = {item.host.name: item for item in selected}
    decisions = {}
    # One name in maintenance keeps hands off the machine, whichever of its names has the work.
    flagged = {looked.machine_id for looked in seen.looked.values() if looked.host.maintenance and looked.machine_id}
    granted = 0  # the budget is the fleet's, not each host's
    for host_plan in seen.plan.hosts:
        item, guard = by_name[host_plan.host], guards[host_plan.host]
        guard = replace(guard, actions_left=max(0, guard.actions_left - granted))
        host = replace(item.host, maintenance=host_plan.machine_id in flagged or item.host.maintenance)
        answers = gate.decide(host, host_plan, item.tasks, work.settings, guard)
        granted += sum(answer.allowed for answer in answers)
        decisions[host_plan.host] = {answer.change_id: answer for answer in answers}
    return Judged(seen, decisions)


def make(
    selected: Sequence[Selected],
    judged: Judged,
    work: Work,
    ledger: Ledger,
    brakes: Brakes,
    *,
    fleet: Sequence[Host] = (),
) -> Judged:
    """Make what the gate allowed, host by host in parallel, each recorded before and after.

    `fleet` has the inventory's hosts: those of a quorum group count even when this run is not for them.
    """
    todo, failed = _todo(selected, judged, work)
    turns = _turns(todo, judged)
    made = waves.make(turns, _quorums_down(judged, turns, work, fleet), work, ledger, brakes)
    return replace(judged, outcomes={**failed, **made})


def order(selected: Sequence[Selected], judged: Judged, work: Work, *, fleet: Sequence[Host] = ()) -> list[str]:
    """In words: who is upgraded first, and how many follow; empty when nothing waits for its turn."""
    todo, _ = _todo(selected, judged, work)
    turns = _turns(todo, judged)
    return list(filter(None, [waves.in_words(turns, _quorums_down(judged, turns, work, fleet))]))


def host_reports(selected: Sequence[Selected], judged: Judged) -> tuple[HostReport, ...]:
    """A report for every selected host, in the inventory's order."""
    plans = {plan.host: plan for plan in judged.seen.plan.hosts}
    reports = []
    for item in selected:
        name = item.host.name
        plan, looked = plans.get(name), judged.seen.looked.get(name)
        if plan is not None:
            report = reporting.with_plan(plan, judged.decisions.get(name, {}), judged.outcomes.get(name, {}))
        elif looked is not None:
            report = reporting.without_plan(looked)
        else:
            report = HostReport(name, State.SKIPPED, Reason.NOT_SELECTED, "nothing of this run is for this host")
        reports.append(reporting.with_unfinished(report, looked.recalled if looked else ()))
    return tuple(reports)


def _todo(
    selected: Sequence[Selected], judged: Judged, work: Work
) -> tuple[list[tuple[Selected, list[Step]]], dict[str, Mapping[str, Outcome]]]:
    """The hosts with steps to make; a host whose changes nobody can make has its outcomes at once."""
    todo: list[tuple[Selected, list[Step]]] = []
    failed: dict[str, Mapping[str, Outcome]] = {}
    for item in selected:
        try:
            steps = _allowed_steps(item, judged, work)
        except Exception as error:
            detail = f"{type(error).__name__}: {error}"
            ids = [one.change_id for one in judged.decisions[item.host.name].values() if one.allowed]
            failed[item.host.name] = {
                one: Outcome(one, State.FAILED, Reason.INTERNAL_ERROR, detail, begun=False) for one in ids
            }
            continue
        if steps:
            todo.append((item, steps))
    return todo, failed


def _turns(todo: Sequence[tuple[Selected, list[Step]]], judged: Judged) -> list[Turn]:
    plans = {plan.host: plan for plan in judged.seen.plan.hosts}
    turns = []
    for item, steps in todo:
        plan = plans[item.host.name]
        rules = {task.name: gate.rule_of(task) for task in item.tasks}
        job = Job(
            item.host, plan.machine_id, steps, applying.actors(item.tasks), rules, judged.approved(item.host.name)
        )
        turns.append(Turn(job, str(plan.facts.get("os", "")), _rules(item, steps)))
    return turns


def _rules(item: Selected, steps: Sequence[Step]) -> Waves | None:
    """The waves of the first task that has something to wait for; they hold for all of the host's work."""
    staged = {change.task for step in steps for change in step.changes if change.action in waves.STAGED}
    return next((t.waves for t in item.tasks if isinstance(t, PackageUpdateTask) and t.name in staged), None)


def _quorums_down(judged: Judged, turns: Sequence[Turn], work: Work, fleet: Sequence[Host]) -> frozenset[str]:
    """Quorum groups of which a host is in maintenance, or could not be looked at, whatever the reason.

    Members that were not looked at now, as after `--host` or with the plan of a file, are asked for a sign of life.
    """
    seen = judged.seen.looked.values()
    down = [one.host for one in seen if one.plan is None and one.reason not in _STANDS]
    wanted = {turn.member.quorum for turn in turns if turn.rules is not None} - {"", *(host.quorum for host in down)}
    known = judged.seen.looked if judged.seen.fresh else {}
    unseen = [host for host in fleet if host.quorum in wanted and host.name not in known]
    silent = {one.host for one in pinging.ping(unseen, work) if one.state is not State.DONE} if unseen else set()
    down += [host for host in unseen if host.name in silent]
    flagged = [host for host in (*fleet, *(one.host for one in seen)) if host.maintenance]
    return frozenset(host.quorum for host in (*down, *flagged) if host.quorum)


_STANDS = frozenset({Reason.SAME_MACHINE, Reason.NOT_SELECTED, Reason.INTERRUPTED})
"""Why there is no plan for a host that may be well all the same."""


def _allowed_steps(item: Selected, judged: Judged, work: Work) -> list[Step]:
    decisions = judged.decisions.get(item.host.name, {})
    allowed = frozenset(change_id for change_id, decision in decisions.items() if decision.allowed)
    plan = next((plan for plan in judged.seen.plan.hosts if plan.host == item.host.name), None)
    return applying.steps_of(plan, allowed, item.tasks, work) if plan and allowed else []


def _interrupted(item: Selected) -> Looked:
    return Looked(item.host, reason=Reason.INTERRUPTED, detail="ended before this host was looked at")


def _stumbled(host: Host, error: Exception) -> Looked:
    return Looked(
        host,
        reason=Reason.DEADLINE if isinstance(error, OverdueError) else Reason.INTERNAL_ERROR,
        detail=f"{type(error).__name__}: {error}",
    )


def _only_recalled(looked: Looked) -> Looked:
    """A host that was only asked what became of earlier changes."""
    if looked.plan is None:
        return looked
    return replace(looked, plan=None, reason=Reason.NOT_SELECTED, detail="no task is for this host")


def one_name_per_machine(names: Sequence[str], looked: Mapping[str, Looked]) -> dict[str, Looked]:
    """Two names of one machine are one host: the first name in the inventory's order keeps the work."""
    owners: dict[str, str] = {}
    result = dict(looked)
    for name in names:
        plan = looked[name].plan
        if plan is None or not plan.machine_id:
            continue
        owner = owners.setdefault(plan.machine_id, name)
        if owner != name:
            detail = f"the same machine as {owner}"
            result[name] = replace(looked[name], plan=None, reason=Reason.SAME_MACHINE, detail=detail)
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
        not_planned=tuple(NotPlanned(i.host.name, i.reason, i.detail) for i in looked if i.plan is None),
    ).sealed()
