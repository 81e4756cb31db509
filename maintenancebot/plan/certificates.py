"""Judges certificates by what files hold and what ports serve, and plans renewals of lineages that are due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from maintenancebot.model import Action, Change, Host, HostFacts, Json, Reason, Risk, State, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.plan.validity import WORST_FIRST, Judged, judge_all
from maintenancebot.settings import MonitorTask, Settings, Task

OVERDUE = (Reason.EXPIRED, Reason.EXPIRING)
VERDICT_STATE = "verdict_state"
"""Key of the facts: what the report's state is at least, although the task has changes."""
ARCHIVE_NOTE = "cannot be undone; the old certificate stays in certbot's archive"


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """The verdict over all certificates, and a renewal for each lineage that is due if the task renews."""
    assert isinstance(task, MonitorTask)
    now = datetime.fromtimestamp(facts.clock - facts.clock_offset, UTC)
    judged = judge_all(result.findings, now, task.alert_threshold or task.threshold_days)
    due = _due(task, facts, result, judged)
    changes = tuple(_renewal(host, task, one, judged) for one in due)
    bad = [one for one in judged if one.verdict in WORST_FIRST and not _covered(one, due)]
    told = _facts(result, judged, bad)
    if changes:
        if bad:
            told[VERDICT_STATE] = State.FAILED.value
        elif _unclear(result, judged)[0] is State.UNKNOWN:
            told[VERDICT_STATE] = State.UNKNOWN.value
        return TaskPlan(task.name, task.type, State.PLANNED, Reason.NONE, _said(bad), changes, told)
    if bad:
        return TaskPlan(task.name, task.type, State.FAILED, _worst(bad), _said(bad), facts=told)
    state, reason, detail = _unclear(result, judged)
    return TaskPlan(task.name, task.type, state, reason, detail, facts=told)


def _unclear(result: ProbeResult, judged: Sequence[Judged]) -> tuple[State, Reason, str]:
    """The verdict when nothing is known to be bad: what could not be looked at is not valid."""
    unreadable = [one for one in judged if one.verdict is not Reason.VALID and one.verdict not in WORST_FIRST]
    if result.state is not State.DONE:
        return result.state, result.reason, result.detail
    if unreadable:
        return State.UNKNOWN, unreadable[0].verdict, _said(unreadable)
    if result.facts.get("left_out"):
        return State.UNKNOWN, Reason.OVER_CAP, f"{result.facts['left_out']} certificates or names were not looked at"
    if result.reason is Reason.NEEDS_ROOT:
        return State.SKIPPED, Reason.NEEDS_ROOT, result.detail
    if not judged:
        return State.NOTHING, Reason.NO_MATCH, "no certificate in files or on the ports"
    soonest = min(judged, key=lambda one: one.days_left)
    said = f"{len(judged)} valid, the first to end in {soonest.days_left:.1f} days"
    if unsure := result.facts.get("keys_not_compared"):
        said += f"; {unsure} private keys could not be compared with theirs"
    return State.DONE, Reason.VALID, said


def _facts(result: ProbeResult, judged: Sequence[Judged], bad: Sequence[Judged]) -> dict[str, Json]:
    told: dict[str, Json] = {key: value for key, value in result.facts.items() if value}
    told["certificates"] = [one.fact() for one in judged]
    told["failed"] = [f"{one.place}: {one.verdict.value}" for one in bad]
    return told


def _worst(bad: Sequence[Judged]) -> Reason:
    return min((one.verdict for one in bad), key=WORST_FIRST.index)


def _said(judged: Sequence[Judged]) -> str:
    return "; ".join(f"{one.place}: {one.detail}" for one in judged)


def _due(task: MonitorTask, facts: HostFacts, result: ProbeResult, judged: Sequence[Judged]) -> list[Judged]:
    """The lineages that certbot here can renew and that are due, each once."""
    if not (task.auto_renew and facts.is_root and result.facts.get("certbot")):
        return []
    due = {one.lineage: one for one in judged if one.lineage and one.renewable and one.verdict in OVERDUE}
    return [due[lineage] for lineage in sorted(due)]


def _covered(one: Judged, due: Sequence[Judged]) -> bool:
    """Whether a planned renewal is the answer to this verdict; a copy elsewhere on the disk is not renewed by it."""
    same = [lineage for lineage in due if lineage.fingerprint == one.fingerprint]
    return one.verdict in OVERDUE and any(one is lineage or one.served for lineage in same)


def _renewal(host: Host, task: MonitorTask, one: Judged, judged: Sequence[Judged]) -> Change:
    served = [other for other in judged if other.served and other.kind == one.kind]
    return make_change(
        host.name,
        task.name,
        Action.RENEW_CERTIFICATE,
        name=one.lineage,
        identity={
            "lineage": one.lineage,
            "serial": one.serial,
            "not_after": one.not_after,
            "names": list(one.names),
            "served": [
                {"address": other.address, "port": other.port, "sni": other.sni, "serial": other.serial}
                for other in sorted(served, key=lambda other: (other.address, other.port, other.sni))
            ],
        },
        undo=Undo.NONE,
        risk=Risk.MEDIUM,
        effect={"days_left": round(one.days_left, 2)},
        note=ARCHIVE_NOTE,
    )
