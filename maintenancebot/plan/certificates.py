"""Judges certificates by what files hold and what ports serve, and plans renewals of lineages that are due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from maintenancebot.model import Action, Change, Host, HostFacts, Json, Reason, Risk, State, Undo
from maintenancebot.plan.backoff import next_try
from maintenancebot.plan.certificates_seen import Judged
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.plan.validity import WORST_FIRST, judge_all
from maintenancebot.settings import MonitorTask, Settings, Task

KIND = "certificates"
"""Of the rows in the memory: by lineage, the serial number that could not be renewed and when that was tried."""
VERDICT_STATE = "verdict_state"
"""Key of the facts: what the report's state is at least, although the task has changes."""
UNLESS_DONE = "failed_unless_done"
"""Key of the facts: reason and detail of the failure that it is where the changes are not made after all."""
NOT_KNOWN = ("private", "self_signed", "issuer_unknown")
"""What the host's store may say of an authority that it need not know."""
ARCHIVE_NOTE = "cannot be undone; the old certificate stays in certbot's archive"


@dataclass(frozen=True)
class Renewals:
    """The lineages that are due: those to renew now, those left to certbot's own timer, those that cannot be now."""

    ours: tuple[Judged, ...] = ()
    left_to_timer: tuple[Judged, ...] = ()
    held: tuple[tuple[Judged, Reason, str], ...] = ()


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """The verdict over all certificates, and a renewal for each lineage that is due if the task renews."""
    assert isinstance(task, MonitorTask)
    now = datetime.fromtimestamp(facts.clock - facts.clock_offset, UTC)
    ours = task.auto_renew and facts.is_root and bool(result.facts.get("certbot"))
    judged = judge_all(
        result.findings,
        now,
        task.alert_threshold or task.threshold_days,
        by_itself=ours or bool(result.facts.get("renewed_by")),
    )
    renewals = _renewals(result, judged, now) if ours else Renewals()
    changes = tuple(_renewal(host, task, one, judged) for one in renewals.ours)
    bad = [one for one in judged if one.verdict in WORST_FIRST and not _covered(one, renewals.ours)]
    told = _facts(result, judged, bad, renewals)
    hoped = [one for one in judged if one.verdict in WORST_FIRST and one not in bad]
    if hoped:
        told[UNLESS_DONE] = {"reason": _worst(hoped).value, "detail": _said(hoped)}
    state, reason, detail = _verdict(result, judged, bad, renewals)
    if not changes:
        return TaskPlan(task.name, task.type, state, reason, detail, facts=told)
    if state in (State.FAILED, State.UNKNOWN):
        told[VERDICT_STATE] = state.value
    said = detail if bad or renewals.held else ""
    return TaskPlan(task.name, task.type, State.PLANNED, Reason.NONE, said, changes, told)


def learned(task: Task, result: ProbeResult, known: Mapping[str, Json], at: float) -> Mapping[str, Json]:
    """The failed tries to remember: those of lineages that still have the certificate that could not be renewed."""
    if result.state is not State.DONE:
        return dict(known)
    read: dict[str, Mapping[str, Json]] = {
        str(one.data["lineage"]): one.data.get("certificate") or {}
        for one in result.findings
        if one.data.get("lineage")
    }
    return {
        lineage: row
        for lineage, row in known.items()
        if lineage in read and read[lineage].get("serial", row["serial"]) == row["serial"]
    }


def _verdict(
    result: ProbeResult, judged: Sequence[Judged], bad: Sequence[Judged], renewals: Renewals
) -> tuple[State, Reason, str]:
    """The state when nothing is renewed: the worst fault, then renewals that are held back, then what is unclear."""
    held = "; ".join(f"{one.lineage}: {why}" for one, _, why in renewals.held)
    if bad:
        return State.FAILED, _worst(bad), "; ".join(filter(None, (_said(bad), held)))
    unclear = _unclear(result, judged)
    if renewals.held and unclear[0] is not State.UNKNOWN:
        reasons = [reason for _, reason, _ in renewals.held]
        failed = Reason.RENEWAL_FAILED in reasons
        return (State.FAILED, Reason.RENEWAL_FAILED, held) if failed else (State.SKIPPED, reasons[0], held)
    if unclear[0] is State.DONE and renewals.left_to_timer:
        names = ", ".join(one.lineage for one in renewals.left_to_timer)
        return (*unclear[:2], f"{unclear[2]}; due and left to {result.facts['renewed_by']}: {names}")
    return unclear


def _unclear(result: ProbeResult, judged: Sequence[Judged]) -> tuple[State, Reason, str]:
    """The verdict when nothing is known to be bad: what could not be looked at is not valid."""
    unreadable = [one for one in judged if one.verdict is not Reason.VALID and one.verdict not in WORST_FIRST]
    if result.state is not State.DONE:
        return result.state, result.reason, result.detail
    if unreadable:
        return State.UNKNOWN, unreadable[0].verdict, _said(unreadable)
    if result.facts.get("could_not_ask"):
        return State.UNKNOWN, Reason.NOT_RESPONDING, "; ".join(map(str, result.facts["could_not_ask"]))
    if result.facts.get("left_out"):
        return State.UNKNOWN, Reason.OVER_CAP, f"{result.facts['left_out']} certificates or names were not looked at"
    if result.reason is Reason.NEEDS_ROOT:
        return State.SKIPPED, Reason.NEEDS_ROOT, result.detail
    if not judged:
        return State.NOTHING, Reason.NO_MATCH, "no certificate in files or on the ports"
    soonest = min(judged, key=lambda one: one.left)
    said = f"{len(judged)} valid, the first to end in {soonest.left.total_seconds() / 86400:.1f} days"
    if strange := sum(one.trust in NOT_KNOWN for one in judged):
        said += f"; {strange} served of authorities that the host does not know"
    if unsure := result.facts.get("keys_not_compared"):
        said += f"; {unsure} private keys could not be compared with theirs"
    return State.DONE, Reason.VALID, said


def _facts(result: ProbeResult, judged: Sequence[Judged], bad: Sequence[Judged], renewals: Renewals) -> dict[str, Json]:
    told: dict[str, Json] = {key: value for key, value in result.facts.items() if value and key != "remembered"}
    told["certificates"] = [one.fact() for one in judged]
    told["failed"] = [f"{one.place}: {one.verdict.value}" for one in bad]
    if renewals.left_to_timer:
        told["left_to_timer"] = [f"{one.lineage}: {one.detail}" for one in renewals.left_to_timer]
    if renewals.held:
        told["held"] = [f"{one.lineage}: {reason.value}: {why}" for one, reason, why in renewals.held]
    return told


def _worst(bad: Sequence[Judged]) -> Reason:
    return min((one.verdict for one in bad), key=WORST_FIRST.index)


def _said(judged: Sequence[Judged]) -> str:
    return "; ".join(f"{one.place}: {one.detail}" for one in judged)


def _renewals(result: ProbeResult, judged: Sequence[Judged], now: datetime) -> Renewals:
    """What becomes of each lineage that certbot here can renew and that is due."""
    due = {one.lineage: one for one in judged if one.lineage and one.renewable and one.due and _is_current(one, now)}
    ours: list[Judged] = []
    timer: list[Judged] = []
    held: list[tuple[Judged, Reason, str]] = []
    for _, one in sorted(due.items()):
        until = next_try(_tries(result, one))
        if result.facts.get("renewed_by") and not one.overdue:
            timer.append(one)
        elif one.conflict:
            held.append((one, Reason.RENEWAL_FAILED, one.conflict))
        elif until is not None and now < until:
            held.append((one, Reason.BACKING_OFF, f"the renewal failed, next try from {until:%Y-%m-%d %H:%M} UTC"))
        else:
            ours.append(one)
    return Renewals(tuple(ours), tuple(timer), tuple(held))


def _is_current(one: Judged, now: datetime) -> bool:
    """A certificate that is not valid yet is none to renew, whatever its end."""
    return datetime.fromisoformat(one.not_before) <= now


def _tries(result: ProbeResult, one: Judged) -> list[float]:
    row = result.facts.get("remembered", {}).get(one.lineage, {})
    return [float(at) for at in row.get("tries", ())] if row.get("serial") == one.serial else []


def _covered(one: Judged, due: Sequence[Judged]) -> bool:
    """Whether a planned renewal is the answer to this verdict; a copy elsewhere on the disk is not renewed by it."""
    same = [lineage for lineage in due if lineage.fingerprint == one.fingerprint]
    return one.verdict in (Reason.EXPIRED, Reason.EXPIRING) and any(one is lineage or one.served for lineage in same)


def _renewal(host: Host, task: MonitorTask, one: Judged, judged: Sequence[Judged]) -> Change:
    of_others = {other.fingerprint for other in judged if other.lineage and other.lineage != one.lineage}
    served = [
        other
        for other in judged
        if other.served and other.kind == one.kind and other.fingerprint not in of_others - {one.fingerprint}
    ]
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
                {
                    "address": other.address,
                    "port": other.port,
                    "sni": other.sni,
                    "protocol": other.protocol,
                    "serial": other.serial,
                }
                for other in sorted(served, key=lambda other: (other.address, other.port, other.sni))
            ],
        },
        undo=Undo.NONE,
        risk=Risk.MEDIUM,
        effect={"days_left": round(one.left.total_seconds() / 86400, 2)},
        note=ARCHIVE_NOTE,
    )
