"""Plan documents: what a run may do, with a digest that an approval signs and an expiry.

The dry run prints it, approval signs its digest, apply executes it, audit records it, the report tells it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from maintenancebot.errors import PlanError
from maintenancebot.model import Action, Change, Json, Reason, Risk, State, TaskType, Undo

SCHEMA = 1
KIND = "maintenancebot-plan"


@dataclass(frozen=True)
class TaskPlan:
    """A task on a host: its changes, or why there are none."""

    task: str
    type: TaskType
    state: State  # PLANNED with changes; else NOTHING, DONE (a check passed), SKIPPED, FAILED (a check is bad), UNKNOWN
    reason: Reason = Reason.NONE
    detail: str = ""
    changes: tuple[Change, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)  # for the report: counts, kept objects by reason, verdicts


@dataclass(frozen=True)
class HostPlan:
    """All that may be done to one host, bound to the machine that was looked at."""

    host: str
    machine_id: str
    boot_id: str
    probed_at: datetime
    clock_offset: float
    tasks: tuple[TaskPlan, ...]
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of all tasks, in the order in which they are made."""
        return tuple(change for task in self.tasks for change in task.changes)


@dataclass(frozen=True)
class NotPlanned:
    """A host that could not be looked at when the plan was made; it stays in every report of the plan."""

    host: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Plan:
    """A fleet's plan."""

    run_id: str
    created_at: datetime
    expires_at: datetime
    configuration: str  # digest of the settings it was made with
    hosts: tuple[HostPlan, ...]
    not_planned: tuple[NotPlanned, ...] = ()
    digest: str = ""

    def sealed(self) -> Plan:
        """The same plan with its digest filled in."""
        return replace(self, digest=digest_of(self))


def change_id(host: str, task: str, action: Action, identity: Mapping[str, Json]) -> str:
    """The id of a change: the same object gets the same id in every plan."""
    return _sha256([host, task, action.value, identity])[:16]


def make_change(
    host: str,
    task: str,
    action: Action,
    *,
    name: str,
    identity: Mapping[str, Json],
    undo: Undo,
    risk: Risk = Risk.LOW,
    effect: Mapping[str, Json] | None = None,
    note: str = "",
) -> Change:
    """A change with its id; `identity` is all that must still hold when the object is touched."""
    return Change(
        id=change_id(host, task, action, identity),
        task=task,
        action=action,
        name=name,
        object=identity,
        undo=undo,
        risk=risk,
        effect=effect or {},
        note=note,
    )


def digest_of(plan: Plan) -> str:
    """SHA-256 over the canonical form of everything but the digest itself."""
    document = plan_to_json(plan)
    del document["digest"]
    return _sha256(document)


def plan_to_json(plan: Plan) -> dict[str, Json]:
    """The plan as a JSON document, the form of `dry-run --out` and of the store."""
    return {
        "schema": SCHEMA,
        "kind": KIND,
        "run_id": plan.run_id,
        "created_at": plan.created_at.isoformat(),
        "expires_at": plan.expires_at.isoformat(),
        "configuration": plan.configuration,
        "hosts": [_host_to_json(host) for host in plan.hosts],
        "not_planned": [{"host": n.host, "reason": n.reason.value, "detail": n.detail} for n in plan.not_planned],
        "digest": plan.digest,
    }


def plan_from_json(document: Json) -> Plan:
    """Read a plan document and check its digest.

    Raises PlanError when it is no plan, of another version, or not what it was when it was sealed.
    """
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise PlanError(Reason.PLAN_CHANGED, "this is not a plan; make one with `maintenancebot dry-run --out FILE`")
    if document.get("schema") != SCHEMA:
        raise PlanError(
            Reason.PLAN_CHANGED, f"plan format {document.get('schema')!r} is not {SCHEMA}; make the plan anew"
        )
    try:
        plan = Plan(
            run_id=_text(document["run_id"]),
            created_at=_time(document["created_at"]),
            expires_at=_time(document["expires_at"]),
            configuration=_text(document["configuration"]),
            hosts=tuple(_host_from_json(host) for host in document["hosts"]),
            not_planned=tuple(
                NotPlanned(_text(item["host"]), Reason(item["reason"]), _text(item["detail"]))
                for item in document["not_planned"]
            ),
            digest=_text(document["digest"]),
        )
        _check_once("host", [host.host for host in plan.hosts] + [item.host for item in plan.not_planned])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlanError(Reason.PLAN_CHANGED, f"the plan is damaged ({error!r}); make the plan anew") from None
    content = {key: value for key, value in document.items() if key != "digest"}
    if _sha256(content) != plan.digest or digest_of(plan) != plan.digest:
        raise PlanError(
            Reason.PLAN_CHANGED, "the plan was changed after it was made: its digest does not fit; make the plan anew"
        )
    return plan


def check_usable(plan: Plan, now: datetime, configuration: str) -> None:
    """Raise PlanError when the plan is too old, or was made with another configuration."""
    if now >= plan.expires_at:
        raise PlanError(
            Reason.PLAN_EXPIRED, f"the plan expired at {plan.expires_at:%Y-%m-%d %H:%M %Z}; make the plan anew"
        )
    if now < plan.created_at:
        raise PlanError(Reason.PLAN_CHANGED, "the plan was made in the future; check this machine's clock")
    if plan.configuration != configuration:
        raise PlanError(Reason.PLAN_CHANGED, "the configuration changed after the plan was made; make the plan anew")


def canonical(value: Json) -> bytes:
    """JSON with sorted keys, without blanks, in ASCII: one value, one form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _sha256(value: Json) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()


def change_to_json(change: Change) -> dict[str, Json]:
    """A change as JSON."""
    return {
        "id": change.id,
        "task": change.task,
        "action": change.action.value,
        "name": change.name,
        "object": dict(change.object),
        "undo": change.undo.value,
        "risk": change.risk.value,
        "effect": dict(change.effect),
        "note": change.note,
    }


def change_from_json(item: Mapping[str, Json]) -> Change:
    """The change again; ValueError or KeyError when the item is no change."""
    return Change(
        id=_text(item["id"]),
        task=_text(item["task"]),
        action=Action(item["action"]),
        name=_text(item["name"]),
        object=dict(item["object"]),
        undo=Undo(item["undo"]),
        risk=Risk(item["risk"]),
        effect=dict(item["effect"]),
        note=_text(item["note"]),
    )


def _host_to_json(host: HostPlan) -> dict[str, Json]:
    return {
        "host": host.host,
        "machine_id": host.machine_id,
        "boot_id": host.boot_id,
        "probed_at": host.probed_at.isoformat(),
        "clock_offset": host.clock_offset,
        "facts": dict(host.facts),
        "tasks": [
            {
                "task": task.task,
                "type": task.type.value,
                "state": task.state.value,
                "reason": task.reason.value,
                "detail": task.detail,
                "facts": dict(task.facts),
                "changes": [change_to_json(change) for change in task.changes],
            }
            for task in host.tasks
        ],
    }


def _host_from_json(item: Mapping[str, Json]) -> HostPlan:
    host = HostPlan(
        host=_text(item["host"]),
        machine_id=_text(item["machine_id"]),
        boot_id=_text(item["boot_id"]),
        probed_at=_time(item["probed_at"]),
        clock_offset=item["clock_offset"],
        facts=dict(item["facts"]),
        tasks=tuple(
            TaskPlan(
                task=_text(task["task"]),
                type=TaskType(task["type"]),
                state=State(task["state"]),
                reason=Reason(task["reason"]),
                detail=_text(task["detail"]),
                facts=dict(task["facts"]),
                changes=tuple(change_from_json(change) for change in task["changes"]),
            )
            for task in item["tasks"]
        ),
    )
    _check_changes(host)
    return host


def _check_changes(host: HostPlan) -> None:
    if not isinstance(host.clock_offset, int | float) or not math.isfinite(host.clock_offset):
        raise ValueError(f"{host.clock_offset!r} is no difference of clocks")
    _check_once("task", [task.task for task in host.tasks])
    _check_once("change", [change.id for change in host.changes])
    for task in host.tasks:
        for change in task.changes:
            if change.task != task.task:
                raise ValueError(f"{change.name!r} stands under another task")
            if change.id != change_id(host.host, change.task, change.action, change.object):
                raise ValueError(f"the id of {change.name!r} does not fit its object")


def _check_once(what: str, names: Sequence[str]) -> None:
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"the {what} {twice!r} stands there twice")


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _time(value: Json) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return moment
