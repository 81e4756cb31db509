"""The trash of the hosts: read from the hosts alone, and given back on a person's word, through gate and ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maintenancebot.catalog import TRASH, TRASH_PROBE, TrashItem
from maintenancebot.engine import applying, guards, probing
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Selected
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError, UsageError
from maintenancebot.model import Host, Outcome, Reason, State, TaskType
from maintenancebot.plan.document import HostPlan, Plan, TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.policy import gate
from maintenancebot.remote.fanout import FanOut
from maintenancebot.store import Store


@dataclass(frozen=True)
class TrashResult:
    """What one host has in its trash, or why that is not known."""

    host: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    items: tuple[TrashItem, ...] = ()


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
    task = TaskPlan(step.task, TaskType.CLEANUP, State.PLANNED, changes=step.changes)
    host_plan = HostPlan(host.name, plan.machine_id, plan.boot_id, plan.probed_at, plan.clock_offset, (task,))
    sealed = Plan(work.run_id, plan.probed_at, plan.probed_at, work.settings.digest, (host_plan,)).sealed()
    seen = guards.read(store, (Selected(host, ()),), sealed, work)[host.name]
    (decision,) = gate.decide_by_hand(host, host_plan, work.settings, seen)
    if not decision.allowed:
        return Outcome(decision.change_id, decision.state, decision.reason, decision.detail)
    ledger = Ledger(store, work.run_id, sealed.digest, work.now)
    outcomes = applying.apply(host, plan.machine_id, [step], {step.task: TRASH}, work, ledger, Brakes(work, ledger))
    return outcomes[decision.change_id]


def _contents(host: Host, work: Work) -> TrashResult:
    try:
        _, result = _look(host, work, "")
    except RemoteError as error:
        return TrashResult(host.name, State.UNKNOWN, error.reason, str(error))
    items = tuple(TRASH_PROBE.items(host.name, result.findings))
    if result.state is State.DONE:
        return TrashResult(host.name, State.DONE if items else State.NOTHING, result.reason, result.detail, items)
    return TrashResult(host.name, result.state, result.reason, result.detail, items)


def _look(host: Host, work: Work, item: str) -> tuple[HostPlan, ProbeResult]:
    return probing.ask_one(host, TRASH_PROBE.OP, TRASH_PROBE.request(item), work)
