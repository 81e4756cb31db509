"""Approvals: what a person may still decide, and what a decision allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ApprovalState(StrEnum):
    """What a person said."""

    PENDING = "pending"  # nothing yet
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"  # nobody said it in time, or not all of it was made in time
    USED = "used"  # every change of it was made or tried once


@dataclass(frozen=True)
class Approval:
    """A plan that was put before a person; its digest says exactly which one, and `requested_by` whose run asked."""

    digest: str
    run_id: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    state: ApprovalState = ApprovalState.PENDING
    decided_by: str = ""
    decided_at: datetime | None = None
    hosts: tuple[str, ...] = ()
    changes: Mapping[str, datetime | None] = field(default_factory=dict)  # id -> when its approval was used up

    def state_at(self, at: datetime) -> ApprovalState:
        """What it is worth by now; what is stored is only what the person said."""
        if self.state is ApprovalState.APPROVED and self.changes and all(self.changes.values()):
            return ApprovalState.USED
        is_open = self.state in (ApprovalState.PENDING, ApprovalState.APPROVED)
        return ApprovalState.EXPIRED if is_open and at >= self.expires_at else self.state


def objection(approval: Approval, *, by: str, at: datetime) -> str:
    """Why this person cannot decide it now, "" if they can: once, in time, and not the one who asked."""
    if approval.state is not ApprovalState.PENDING:
        return f"it was {approval.state} by {approval.decided_by}"
    if at >= approval.expires_at:
        return f"it expired at {approval.expires_at:%Y-%m-%d %H:%M %Z}; make the plan anew"
    if not by or by in (approval.requested_by, approval.run_id):
        return "it must be decided by somebody else than who asked for it"
    return ""
