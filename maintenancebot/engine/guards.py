"""Reads the state of all guards for the gate, and teaches them what a run did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.work import Work
from maintenancebot.model import Autonomy, State, TaskType
from maintenancebot.plan.document import HostPlan, Plan, plan_to_json
from maintenancebot.policy import breakers, budgets, windows
from maintenancebot.policy.gate import Guards
from maintenancebot.store import Store

APPROVAL_HOURS = 72


def machine_ids(store: Store, hosts: Sequence[str]) -> dict[str, str]:
    """The machine-ids that hosts had before, where any is known."""
    return {host: known for host in hosts if (known := store.machines.known(host))}


def read(store: Store, selected: Sequence[Selected], plan: Plan, work: Work) -> dict[str, Guards]:
    """The guards as they stand now, for each host of the plan."""
    now = work.now()
    stop = store.guard.stopped()
    audit_problem = "" if store.read_only or store.audit.probe_writable() else "the audit log cannot be written"
    changing = sum(1 for host in plan.hosts if host.changes)
    hosts = {item.host.name: item.host for item in selected}
    left = actions_left(store, work, now)
    approved = store.approvals.approved_changes(at=now)
    frozen = windows.freeze_reason(work.settings, now)
    return {
        host.host: Guards(
            stopped=f"stopped by {stop.by}: {stop.reason}" if stop else "",
            audit_problem=audit_problem,
            frozen=frozen,
            outside_window=windows.closed_reason(work.settings, hosts[host.host], now),
            known_machine_id=store.machines.known(host.host),
            breaker=breakers.objection(store.breakers.get(host.host), now),
            actions_left=left,
            fleet_share=changing / len(selected) if selected else 0.0,
            approved=approved,
        )
        for host in plan.hosts
    }


def actions_left(store: Store, work: Work, now: datetime) -> int:
    """How many changes the budgets of hour and day still allow."""
    return budgets.left(
        work.settings.guards,
        last_hour=store.audit.actions_since(now - timedelta(hours=1)),
        last_day=store.audit.actions_since(now - timedelta(days=1)),
    )


def may_refresh(store: Store, selected: Sequence[Selected], work: Work) -> frozenset[str]:
    """The hosts whose package lists may be renewed: a change like any other, so the host-wide guards are asked first."""
    now = work.now()
    if store.guard.stopped() or not store.audit.probe_writable() or windows.freeze_reason(work.settings, now):
        return frozenset()
    return frozenset(
        item.host.name
        for item in selected
        if not item.host.maintenance
        and not windows.closed_reason(work.settings, item.host, now)
        and any(t.type is TaskType.PACKAGE_UPDATE and t.approval is not Autonomy.OBSERVE for t in item.tasks)
    )


def audit_refresh(store: Store, hosts: frozenset[str], work: Work) -> None:
    """Write down whose lists are about to be renewed; raises StoreError, and then none is."""
    for host in sorted(hosts):
        body = {"action": "refresh_package_lists"}
        store.audit.append("refresh", run=work.run_id, host=host, body=body, at=work.now())


def ask_for_approval(store: Store, judged: Judged, work: Work) -> list[str]:
    """Store what waits for a person as a plan of its own; returns how to approve it."""
    waiting = {
        change_id
        for decisions in judged.decisions.values()
        for change_id, decision in decisions.items()
        if decision.state is State.WAITING
    }
    if not waiting:
        return []
    now = work.now()
    plan = Plan(
        run_id=work.run_id,
        created_at=now,
        expires_at=now + timedelta(hours=APPROVAL_HOURS),
        configuration=judged.seen.plan.configuration,
        hosts=tuple(part for host in judged.seen.plan.hosts if (part := _only(host, waiting)).changes),
    ).sealed()
    store.approvals.request(plan.digest, plan_to_json(plan), by=work.run_id, at=now, expires_at=plan.expires_at)
    return [f"{len(waiting)} changes wait for approval: maintenancebot approvals approve {plan.digest[:12]}"]


def learn(store: Store, judged: Judged, work: Work) -> None:
    """Remember machines, count what failed, use up approvals."""
    now = work.now()
    for plan in judged.seen.plan.hosts:
        if not store.machines.known(plan.host):
            store.machines.remember(plan.host, plan.machine_id, "", at=now)
        outcomes = judged.outcomes.get(plan.host, {})
        if outcomes:
            bad = any(outcome.state in (State.FAILED, State.UNKNOWN) for outcome in outcomes.values())
            store.breakers.count(plan.host, failed=bad, rules=work.settings.guards, at=now)


def _only(host: HostPlan, ids: set[str]) -> HostPlan:

    tasks = (replace(task, changes=tuple(change for change in task.changes if change.id in ids)) for task in host.tasks)
    return replace(host, tasks=tuple(task for task in tasks if task.changes))
