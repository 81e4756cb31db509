"""What a person asks for outside of the configured tasks: sealed, judged and made as the work of a run is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from maintenancebot.catalog import Answers
from maintenancebot.engine import cycle, making
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Seen, Selected
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.making import Job
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.model import Change, Host, Reason, Step
from maintenancebot.plan.document import NotPlanned, Plan
from maintenancebot.policy import gate
from maintenancebot.policy.gate import Guards


def seal(looked: Mapping[str, Looked], work: Work) -> Seen:
    """The plans of these hosts as one plan; of two names of one machine the first has it."""
    looked = cycle.one_name_per_machine(list(looked), looked)
    created = work.now()
    plan = Plan(
        run_id=work.run_id,
        created_at=created,
        expires_at=created + timedelta(hours=work.settings.guards.plan_valid_hours),
        configuration=work.settings.digest,
        hosts=tuple(one.plan for one in looked.values() if one.plan is not None),
        not_planned=tuple(NotPlanned(n, one.reason, one.detail) for n, one in looked.items() if one.plan is None),
    )
    return Seen(plan.sealed(), looked)


def judge(seen: Seen, work: Work, guards: Mapping[str, Guards], asked: frozenset[Reason]) -> Judged:
    """Ask the gate about every change, by the checks that hold for this purpose."""
    # One name in maintenance keeps hands off the machine, whichever of its names has the work.
    flagged = {one.machine_id for one in seen.looked.values() if one.host.maintenance and one.machine_id}
    decisions = {}
    granted = 0  # the budget is the fleet's, not each host's
    for plan in seen.plan.hosts:
        host, guard = seen.looked[plan.host].host, guards[plan.host]
        host = replace(host, maintenance=plan.machine_id in flagged or host.maintenance)
        guard = replace(guard, actions_left=max(0, guard.actions_left - granted))
        answers = gate.decide_by_hand(host, plan, work.settings, guard, asked)
        granted += sum(answer.allowed for answer in answers)
        decisions[plan.host] = {answer.change_id: answer for answer in answers}
    return Judged(seen, decisions)


def make(
    judged: Judged,
    steps: Callable[[Sequence[Change]], list[Step]],
    acting: Mapping[str, Answers],
    work: Work,
    ledger: Ledger,
    brakes: Brakes,
    *,
    verdict_follows: bool = False,
) -> Judged:
    """Make what the gate allowed, each recorded before and after; `steps` says how.

    With `verdict_follows` the caller measures what came of it, and teaches the circuit breakers.
    """
    jobs = []
    for plan in judged.seen.plan.hosts:
        allowed = [change for change in plan.changes if judged.decisions[plan.host][change.id].allowed]
        if allowed:
            host, rules = judged.seen.looked[plan.host].host, {task.task: task.task for task in plan.tasks}
            approved = judged.approved(plan.host)
            jobs.append(Job(host, plan.machine_id, steps(allowed), acting, rules, approved, verdict_follows))
    return replace(judged, outcomes=making.make(jobs, work, ledger, brakes))


def selected(hosts: Sequence[Host]) -> tuple[Selected, ...]:
    """The hosts in the form of a run, without tasks."""
    return tuple(Selected(host, ()) for host in hosts)
