"""The trash of the hosts: read from the hosts alone; given back and purged on a person's word, by gate and ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from maintenancebot.catalog import TRASH, TRASH_PROBE, TrashItem
from maintenancebot.engine import applying, asked, guards, probing
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Seen
from maintenancebot.engine.holding import LOOK_WAIT_SECONDS, Holding
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError, UsageError
from maintenancebot.model import (
    Change,
    ChangeReport,
    Host,
    HostReport,
    Outcome,
    Reason,
    State,
    Step,
    TaskReport,
    TaskType,
)
from maintenancebot.plan import trash as planner
from maintenancebot.plan.document import HostPlan, Plan, TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.policy import gate
from maintenancebot.remote.fanout import FanOut
from maintenancebot.store import Store

UNREADABLE = "unreadable"
"""State of an item whose record does not tell where it came from."""


@dataclass(frozen=True)
class TrashResult:
    """What one host has in its trash, or why that is not known."""

    host: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    items: tuple[TrashItem, ...] = ()
    machine: HostPlan | None = None  # who answered


def contents(hosts: Sequence[Host], work: Work) -> list[TrashResult]:
    """One result for each host, in order."""
    ssh = work.settings.ssh
    limit = ssh.connect_timeout + ssh.login_timeout + ssh.probe_deadline
    found: dict[str, TrashResult] = {}
    work.progress.start(len(hosts), "trash")
    fan_out: FanOut[Host, TrashResult] = FanOut(lambda host: _contents(host, work), ssh.parallel, limit)
    for host, result in fan_out.results(hosts):
        if isinstance(result, Exception):
            result = TrashResult(host.name, State.UNKNOWN, Reason.DEADLINE, str(result))
        found[host.name] = result
        work.progress.host(host.name, result.state, result.detail)
    work.progress.finish()
    return [found[host.name] for host in hosts]


@dataclass(frozen=True)
class Found:
    """An item and the machine that has it."""

    item: TrashItem
    plan: HostPlan


def find(host: Host, item_id: str, work: Work) -> Found:
    """Raises UsageError when the host has no such item, RemoteError when it cannot be asked."""
    plan, result = _look(host, work, item_id)
    for item in TRASH_PROBE.items(host.name, result.findings):
        if item.id == item_id:
            return Found(item, plan)
    raise UsageError(f"{host.name} has no item {item_id} in its trash; see `maintenancebot trash list`")


def restore(host: Host, found: Found, to: str, work: Work, store: Store) -> Outcome:
    """Give one item back, on the machine where it was found."""
    plan = found.plan
    step = TRASH.restore_step(found.item, to)
    if found.item.state == UNREADABLE:
        return Outcome(step.changes[0].id, State.SKIPPED, Reason.UNREADABLE, found.item.detail)
    task = TaskPlan(step.task, TaskType.CLEANUP, State.PLANNED, changes=step.changes)
    host_plan = HostPlan(host.name, plan.machine_id, plan.boot_id, plan.probed_at, plan.clock_offset, (task,))
    sealed = Plan(work.run_id, plan.probed_at, plan.probed_at, work.settings.digest, (host_plan,)).sealed()
    seen = guards.read(store, asked.selected((host,)), sealed, work)[host.name]
    (decision,) = gate.decide_by_hand(host, host_plan, work.settings, seen, gate.RESTORE)
    if not decision.allowed:
        return Outcome(decision.change_id, decision.state, decision.reason, decision.detail)
    holding = Holding(store, work)
    ledger = Ledger(holding, sealed.digest)
    with holding.host(host.name, "a restore", wait=LOOK_WAIT_SECONDS):
        brakes = Brakes(work, ledger)
        outcomes = applying.apply(host, plan.machine_id, [step], {step.task: TRASH}, work, ledger, brakes)
    return outcomes[decision.change_id]


def restored(host: Host, found: Found, to: str, outcome: Outcome) -> HostReport:
    """What became of a restore, in the form of a run's report."""
    step = TRASH.restore_step(found.item, to)
    state, reason = outcome.state, outcome.reason
    changes = tuple(ChangeReport(one, state, reason, outcome.detail, outcome.measured) for one in step.changes)
    return HostReport(
        host.name, state, reason, tasks=(TaskReport(step.task, TaskType.CLEANUP, state, reason, "", changes),)
    )


def plan_purge(hosts: Sequence[Host], wanted: Sequence[str], work: Work) -> Seen:
    """What may go for good on each host: all that is past its time, or of that only the `wanted` items.

    Raises UsageError when a wanted item is nowhere, or not past its time.
    """
    found = contents(hosts, work)
    _must_be_due(found, wanted, work)
    both = zip(hosts, found, strict=True)
    return asked.seal({host.name: _planned(host, one, wanted, work) for host, one in both}, work)


def purge(judged: Judged, work: Work, ledger: Ledger, brakes: Brakes) -> Judged:
    """Delete for good what the gate allowed."""

    def steps(changes: Sequence[Change]) -> list[Step]:
        return [TRASH.purge_step(change, work.settings) for change in changes]

    return asked.make(judged, steps, {planner.TASK: TRASH}, work, ledger, brakes)


def _planned(host: Host, found: TrashResult, wanted: Sequence[str], work: Work) -> Looked:
    if found.machine is None:
        return Looked(host, reason=found.reason, detail=found.detail)
    items = [item for item in found.items if not wanted or item.id in wanted]
    task = planner.purge(host.name, items, work.settings.deletion.caps, work.now())
    if found.state not in (State.DONE, State.NOTHING):
        task = TaskPlan(planner.TASK, TaskType.CLEANUP, found.state, found.reason, found.detail)
    return Looked(host, plan=replace(found.machine, tasks=(task,)), machine_id=found.machine.machine_id)


def _must_be_due(found: Sequence[TrashResult], wanted: Sequence[str], work: Work) -> None:
    items = {item.id: item for result in found for item in result.items}
    complete = all(result.state in (State.DONE, State.NOTHING) for result in found)
    for name in wanted:
        item = items.get(name)
        if item is None and complete:
            raise UsageError(f"no item {name} in the trash of any host; see `maintenancebot trash list`")
        if item is not None and not planner.is_due(item, work.now()):
            until = f"{item.purge_after:%Y-%m-%d %H:%M %Z}" if item.purge_after else "for ever: its record is damaged"
            raise UsageError(f"{item.host} keeps item {name} until {until}; nothing was purged")


def _contents(host: Host, work: Work) -> TrashResult:
    try:
        machine, result = _look(host, work, "")
    except RemoteError as error:
        return TrashResult(host.name, State.UNKNOWN, error.reason, str(error))
    items = tuple(TRASH_PROBE.items(host.name, result.findings))
    state = result.state if result.state is not State.DONE or items else State.NOTHING
    return TrashResult(host.name, state, result.reason, result.detail, items, machine)


def _look(host: Host, work: Work, item: str) -> tuple[HostPlan, ProbeResult]:
    return probing.ask_one(host, TRASH_PROBE.OP, TRASH_PROBE.request(item), work)
