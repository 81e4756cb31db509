"""Phase two over many hosts at once: each host's steps in one execution, recorded before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.catalog import Answers
from maintenancebot.engine import applying, reboots, reporting
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.model import Host, Outcome, Reason, State, Step
from maintenancebot.remote.fanout import FanOut

GRACE_SECONDS = 60


@dataclass(frozen=True)
class Job:
    """What is to be made on one host, on the machine that was looked at."""

    host: Host
    machine_id: str
    steps: Sequence[Step]
    acting: Mapping[str, Answers]  # task name -> who reads the answers and makes the controller's own steps


def make(jobs: Sequence[Job], work: Work, ledger: Ledger, brakes: Brakes) -> dict[str, Mapping[str, Outcome]]:
    """Make the jobs side by side; for each host an outcome for each change, whatever became of the host."""
    outcomes: dict[str, dict[str, Outcome]] = {job.host.name: {} for job in jobs}
    made: dict[str, Mapping[str, Outcome]] = {}

    def one(job: Job) -> None:
        made = outcomes[job.host.name]
        applying.apply(job.host, job.machine_id, job.steps, job.acting, work, ledger, brakes, made)
        reboots.follow(job.host, job.machine_id, job.steps, made, work, ledger)

    ssh = work.settings.ssh
    reboot = max((reboots.longest(job.steps, work) for job in jobs), default=0.0)
    limit = ssh.connect_timeout + ssh.login_timeout + ssh.apply_deadline + reboot + GRACE_SECONDS
    work.progress.start(len(jobs), "apply")
    for job, result in FanOut(one, ssh.parallel, limit).results(jobs):
        name = job.host.name
        if isinstance(result, Exception):
            brakes.overdue(name)
        made[name] = _complete(job.steps, dict(outcomes[name]), result)
        work.progress.host(name, reporting.state_of_outcomes(made[name]), "")
    work.progress.finish()
    return made


def _complete(steps: Sequence[Step], outcomes: dict[str, Outcome], result: Exception | None) -> dict[str, Outcome]:
    """What was recorded, and unknown for the rest of a host whose work did not come back."""
    detail = f"{type(result).__name__}: {result}; looked up at the next start"
    for change in (change for step in steps for change in step.changes):
        outcomes.setdefault(change.id, Outcome(change.id, State.UNKNOWN, Reason.INTERNAL_ERROR, detail))
    return outcomes
