"""Phase two over many hosts at once: each host's steps in one execution, recorded before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maintenancebot.catalog import Answers
from maintenancebot.engine import applying, reboots, reporting
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.holding import WORK_WAIT_SECONDS
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.errors import BusyError, StoreError
from maintenancebot.model import Host, Outcome, Reason, State, Step
from maintenancebot.policy.breakers import effect
from maintenancebot.remote.fanout import FanOut

GRACE_SECONDS = 60


@dataclass(frozen=True)
class Job:
    """What is to be made on one host, on the machine that was looked at."""

    host: Host
    machine_id: str
    steps: Sequence[Step]
    acting: Mapping[str, Answers]  # task name -> who reads the answers and makes the controller's own steps
    rules: Mapping[str, str] = field(default_factory=dict)  # task name -> by which rule, for the circuit breakers
    approved: frozenset[str] = frozenset()  # changes that may be made only as long as an approval of them holds
    verdict_follows: bool = False  # whether it did good is measured later, by who wanted it


def make(jobs: Sequence[Job], work: Work, ledger: Ledger, brakes: Brakes) -> dict[str, Mapping[str, Outcome]]:
    """Make the jobs side by side; for each host an outcome for each change, whatever became of the host."""
    outcomes: dict[str, dict[str, Outcome]] = {job.host.name: {} for job in jobs}
    made: dict[str, Mapping[str, Outcome]] = {}

    def one(job: Job) -> None:
        made = outcomes[job.host.name]
        try:
            with ledger.holding.host(job.host.name, "changes", wait=WORK_WAIT_SECONDS):
                steps = _admitted(job, ledger, made)
                applying.apply(job.host, job.machine_id, steps, job.acting, work, ledger, brakes, made)
                reboots.follow(job.host, job.machine_id, steps, made, work, ledger)
                if not job.verdict_follows:
                    ledger.teach(job.host, _effects(job, made))
        except BusyError as error:
            made.update(_left(job.steps, Reason.INTERRUPTED if work.stop.is_set() else Reason.BUSY, str(error)))
        except StoreError as error:  # the host could not be taken
            made.update(_left(job.steps, Reason.AUDIT_UNWRITABLE, str(error)))

    ssh = work.settings.ssh
    reboot = max((reboots.longest(job.steps, work) for job in jobs), default=0.0)
    limit = ssh.connect_timeout + ssh.login_timeout + ssh.apply_deadline + reboot + WORK_WAIT_SECONDS + GRACE_SECONDS
    work.progress.start(len(jobs), "apply")
    for job, result in FanOut(one, ssh.parallel, limit).results(jobs):
        name = job.host.name
        if isinstance(result, Exception):
            brakes.overdue(name)
        made[name] = _complete(job.steps, dict(outcomes[name]), result)
        work.progress.host(name, reporting.state_of_outcomes(made[name]), "")
    work.progress.finish()
    return made


def _admitted(job: Job, ledger: Ledger, made: dict[str, Outcome]) -> list[Step]:
    """The steps that may still be made: a breaker may have opened since the gate was asked, an approval been used."""
    held = ledger.admit(job.host, {job.rules[step.task] for step in job.steps if step.task in job.rules})
    for rule, why in held.items():
        made.update(_left([s for s in job.steps if job.rules.get(s.task) == rule], Reason.BREAKER_OPEN, why))
    lapsed = ledger.lapsed(job.approved)
    late = [step for step in job.steps if lapsed & {change.id for change in step.changes}]
    made.update(_left(late, Reason.NEEDS_APPROVAL, "its approval is expired or used up by now"))
    return [step for step in job.steps if step not in late and job.rules.get(step.task) not in held]


def _effects(job: Job, made: Mapping[str, Outcome]) -> dict[str, bool | None]:
    """By rule, whether what was made did good."""
    by_rule: dict[str, list[Outcome]] = {rule: [] for rule in job.rules.values()}
    for step in job.steps:
        if step.task in job.rules:
            by_rule[job.rules[step.task]] += [made[one.id] for one in step.changes if one.id in made]
    return {rule: effect(outcomes) for rule, outcomes in by_rule.items()}


def _left(steps: Sequence[Step], reason: Reason, detail: str) -> dict[str, Outcome]:
    """What was not begun."""
    changes = (change for step in steps for change in step.changes)
    return {one.id: Outcome(one.id, State.SKIPPED, reason, detail, begun=False) for one in changes}


def _complete(steps: Sequence[Step], outcomes: dict[str, Outcome], result: Exception | None) -> dict[str, Outcome]:
    """What was recorded, and unknown for the rest of a host whose work did not come back."""
    detail = f"{type(result).__name__}: {result}; looked up at the next start"
    for change in (change for step in steps for change in step.changes):
        outcomes.setdefault(change.id, Outcome(change.id, State.UNKNOWN, Reason.INTERNAL_ERROR, detail))
    return outcomes
