"""Reads the state of all guards for the gate, and teaches them what a run did."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from maintenancebot.engine import requests
from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.errors import StoreError
from maintenancebot.model import Action, Autonomy, Json, State, TaskType
from maintenancebot.plan.document import HostPlan, Plan, plan_to_json
from maintenancebot.policy import breakers, gate, windows
from maintenancebot.policy.approvals import ApprovalState
from maintenancebot.policy.autonomy import autonomy
from maintenancebot.policy.gate import Guards
from maintenancebot.store import Store

UPDATES = TaskType.PACKAGE_UPDATE.value
"""The rule by which renewing package lists counts."""


def machine_ids(store: Store, hosts: Sequence[str]) -> dict[str, str]:
    """The machine-ids that hosts had before, where any is known."""
    return {host: known for host in hosts if (known := store.machines.known(host))}


def stop_notes(store: Store) -> list[str]:
    """Who stopped everything and why, for every report until it is over; empty when nobody did."""
    stop = store.guard.stopped()
    return [f"stopped by {stop.by}: {stop.reason}; nothing is changed until `maintenancebot resume`"] if stop else []


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
    known_bad = _known_bad(plan)
    found = {
        host.host: Guards(
            stopped=f"stopped by {stop.by}: {stop.reason}" if stop else "",
            audit_problem=audit_problem,
            frozen=frozen,
            outside_window=windows.closed_reason(work.settings, hosts[host.host], now),
            known_machine_id=store.machines.known(host.host),
            critical=store.alerts.critical(host.host, at=now),
            actions_left=left,
            fleet_share=changing / max(work.fleet, len(selected), 1),
            approved=approved,
            known_bad=known_bad,
        )
        for host in plan.hosts
    }
    return _with_breakers(found, selected, plan, store, work, now)


def actions_left(store: Store, work: Work, now: datetime) -> int:
    """How many changes the budgets of hour and day still allow."""
    return store.intents.left(work.settings.guards, at=now)


def _with_breakers(
    found: Mapping[str, Guards], selected: Sequence[Selected], plan: Plan, store: Store, work: Work, now: datetime
) -> dict[str, Guards]:
    """With what circuit breakers hold back; where one is half-open, the first host that would do something tries."""
    items = {item.host.name: item for item in selected}
    known = store.breakers.all()
    whole: dict[str, Guards] = {}
    for part in plan.hosts:
        item = items[part.host]
        host, by_rule = item.host, _by_rule(part, item)
        told = {rule: breakers.objection(known, host.name, host.groups, rule, now) for rule in by_rule}
        whole[part.host] = replace(found[part.host], breakers={rule: no for rule, no in told.items() if no})
        allowed = _allowed(part, item, work, whole[part.host])
        for rule in (rule for rule, ids in by_rule.items() if not told[rule] and ids & allowed):
            for key in breakers.keys(host.name, host.groups, rule):
                known[key] = breakers.tried(known.get(key, breakers.CLOSED), host.name, work.settings.guards, now)
    return whole


def _by_rule(part: HostPlan, item: Selected) -> dict[str, set[str]]:
    """The changes of a host's plan by the rule for which they count."""
    rules = {task.name: gate.rule_of(task) for task in item.tasks}
    found: dict[str, set[str]] = {}
    for task in part.tasks:
        found.setdefault(rules.get(task.task, task.task), set()).update(change.id for change in task.changes)
    return found


def _allowed(part: HostPlan, item: Selected, work: Work, guard: Guards) -> set[str]:
    """The changes that a run would make; all of what a person asks for by hand."""
    if not item.tasks:
        return {change.id for change in part.changes}
    return {one.change_id for one in gate.decide(item.host, part, item.tasks, work.settings, guard) if one.allowed}


def _known_bad(plan: Plan) -> dict[tuple[str, str], list[str]]:
    """(package, version) -> the hosts on which it failed before, as they noted it themselves."""
    found: dict[tuple[str, str], list[str]] = {}
    for host in plan.hosts:
        rows = [row for task in host.tasks for row in _rows(task.facts.get("known_bad"))]
        for package, version in sorted(set(rows)):
            found.setdefault((package, version), []).append(host.host)
    return found


def _rows(told: Json) -> list[tuple[str, str]]:
    rows = told if isinstance(told, list) else []
    return [(str(row[0]), str(row[1])) for row in rows if isinstance(row, list) and len(row) == 2]


class RefreshBook:
    """Renewing package lists is a change like any other: asked for right before each host, written down around it."""

    def __init__(self, store: Store, work: Work, *, wanted: bool) -> None:
        self._store = store
        self._work = work
        self._wanted = wanted
        self._lock = threading.Lock()
        self._under_way = 0  # counts for the budget like what was made

    def begin(self, item: Selected) -> bool:
        """Whether this host's lists may be renewed now; the intent is on disk then."""
        try:
            with self._lock:
                if not self._wanted or not self._may(item):
                    return False
                self._record("intent", item.host.name, {})
                self._under_way += 1
        except StoreError:
            return False
        return True

    def end(self, item: Selected, looked: Looked) -> None:
        """Write down what came of it; if that fails, the next question to the store says no."""
        tasks = looked.plan.tasks if looked.plan else ()
        told = next((task for task in tasks if task.type is TaskType.PACKAGE_UPDATE), None)
        state = State.UNKNOWN if told is None or told.state is State.UNKNOWN else State.DONE
        reason = looked.reason if told is None else told.reason
        with self._lock, suppress(StoreError):
            self._under_way -= 1
            self._record("outcome", item.host.name, {"state": state.value, "reason": reason.value})

    def _may(self, item: Selected) -> bool:
        now, settings, host = self._work.now(), self._work.settings, item.host
        tasks = [task for task in item.tasks if task.type is TaskType.PACKAGE_UPDATE]
        return (
            any(autonomy(host, [task], settings) is not Autonomy.OBSERVE for task in tasks)
            and not host.maintenance
            and not host.stale
            and not self._work.stop.is_set()
            and not windows.freeze_reason(settings, now)
            and not windows.closed_reason(settings, host, now)
            and self._store.guard.stopped() is None
            and not breakers.objection(self._store.breakers.all(), host.name, host.groups, UPDATES, now)
            and actions_left(self._store, self._work, now) > self._under_way
        )

    def _record(self, kind: str, host: str, more: dict[str, Json]) -> None:
        body = {"action": Action.REFRESH_PACKAGE_LISTS.value, **more}
        self._store.audit.append(kind, run=self._work.run_id, host=host, body=body, at=self._work.now())


def ask_for_approval(store: Store, judged: Judged, work: Work, *, tells: bool = False) -> list[str]:
    """Store what waits for a person as a plan of its own, with `tells` as a message too; returns how to approve it."""
    waiting = {
        change_id
        for decisions in judged.decisions.values()
        for change_id, decision in decisions.items()
        if decision.state is State.WAITING
    }
    if not waiting:
        return []
    now = work.now()
    digest = _asked_already(store, waiting, now) or _ask(store, judged, waiting, work, now)
    words = _how_to_approve(len(waiting), digest)
    if tells:
        body = requests.body(judged, waiting, digest, words, work)
        store.messages.put(requests.key(digest), requests.KIND, body, at=now)
    return [words]


def _ask(store: Store, judged: Judged, waiting: set[str], work: Work, now: datetime) -> str:
    """Store a request for these changes and return its digest."""
    plan = Plan(
        run_id=work.run_id,
        created_at=now,
        expires_at=now + timedelta(hours=requests.APPROVAL_HOURS),
        configuration=judged.seen.plan.configuration,
        hosts=tuple(part for host in judged.seen.plan.hosts if (part := _only(host, waiting)).changes),
    ).sealed()
    store.approvals.request(
        plan.digest, plan_to_json(plan), by=work.by or work.run_id, at=now, expires_at=plan.expires_at
    )
    return plan.digest


def _asked_already(store: Store, waiting: set[str], now: datetime) -> str:
    """The digest of an open request for exactly these changes: the same question is not asked twice."""
    for approval in store.approvals.latest():
        if approval.state is ApprovalState.PENDING and approval.expires_at > now and set(approval.changes) == waiting:
            return approval.digest
    return ""


def _how_to_approve(count: int, digest: str) -> str:
    what = "1 change waits" if count == 1 else f"{count} changes wait"
    return f"{what} for approval: maintenancebot approvals approve {digest[:12]}"


def notify(store: Store, selected: Sequence[Selected], judged: Judged, work: Work) -> None:
    """Tell people at once what was done by tasks that may do it only so: a message for each task; raises StoreError."""
    done: dict[str, dict[str, dict[str, int]]] = {}
    for item in selected:
        outcomes = judged.outcomes.get(item.host.name, {})
        plan = next((plan for plan in judged.seen.plan.hosts if plan.host == item.host.name), None)
        told = {t.name for t in item.tasks if autonomy(item.host, [t], work.settings) is Autonomy.NOTIFY}
        for task in plan.tasks if plan else ():
            made = [outcomes[one.id] for one in task.changes if one.id in outcomes and outcomes[one.id].begun]
            if made and task.task in told:
                done.setdefault(task.task, {})[item.host.name] = dict(Counter(one.state.value for one in made))
    for name, hosts in done.items():
        body = {"run": work.run_id, "task": name, "hosts": hosts}
        store.messages.put(f"notify:{work.run_id}:{name}", "notify", body, at=work.now())


def learn(store: Store, judged: Judged, work: Work) -> None:
    """Remember the machines that answered."""
    for plan in judged.seen.plan.hosts:
        if not store.machines.known(plan.host):
            store.machines.remember(plan.host, plan.machine_id, "", at=work.now())
    store.machines.seen([plan.host for plan in judged.seen.plan.hosts], at=work.now())


def _only(host: HostPlan, ids: set[str]) -> HostPlan:

    tasks = (replace(task, changes=tuple(change for change in task.changes if change.id in ids)) for task in host.tasks)
    return replace(host, tasks=tuple(task for task in tasks if task.changes))
