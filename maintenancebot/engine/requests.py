"""What people are told of a plan that waits for their word."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

from maintenancebot.engine.cycle import Judged
from maintenancebot.engine.work import Work
from maintenancebot.model import Change, Json, Reason, Risk
from maintenancebot.plan.document import HostPlan

KIND = "approval"
APPROVAL_HOURS = 72
SHOWN = 50
"""Changes that are named one by one, the riskiest first; the plan has them all."""

_RISKS = tuple(Risk)


def key(digest: str) -> str:
    """The same plan is told of once, however many runs find it waiting."""
    return f"approval:{digest}"


def body(judged: Judged, waiting: Collection[str], digest: str, words: str, work: Work) -> dict[str, Json]:
    """The plan in short, and its digest, by which it is approved."""
    found = sorted(_of(judged.seen.plan.hosts, waiting), key=lambda one: -_RISKS.index(one[1].risk))
    counts: dict[str, int] = {}
    for host, _ in found:
        counts[host] = counts.get(host, 0) + 1
    return {
        "run": work.run_id,
        "digest": digest,
        "reason": Reason.NEEDS_APPROVAL.value,
        "detail": words,
        "requested_by": work.by or work.run_id,
        "expires_at": (work.now() + timedelta(hours=APPROVAL_HOURS)).isoformat(),
        "hosts": counts,
        "changes": [_row(host, change) for host, change in found[:SHOWN]],
    }


def _of(hosts: Collection[HostPlan], waiting: Collection[str]) -> Iterator[tuple[str, Change]]:
    for host in hosts:
        yield from ((host.host, change) for change in host.changes if change.id in waiting)


def _row(host: str, change: Change) -> dict[str, Json]:
    return {
        "host": host,
        "action": change.action.value,
        "name": change.name,
        "undo": change.undo.value,
        "risk": change.risk.value,
    }
