"""Plans that wait for a person, and what was approved of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from maintenancebot.errors import PlanError, UsageError
from maintenancebot.model import Json, Reason
from maintenancebot.plan.document import Plan, plan_from_json
from maintenancebot.policy.approvals import Approval, ApprovalState, objection
from maintenancebot.store.audit import Record, append_in
from maintenancebot.store.database import Database
from maintenancebot.store.tables import approval_changes, approvals

_USE = (
    update(approval_changes)
    .where(approval_changes.c.change_id == bindparam("of_change"), approval_changes.c.used_at.is_(None))
    .values(used_at=bindparam("at"))
)


class Approvals:
    """Asks for, gives and uses up approvals; each change of an approved plan may be made once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, digest: str, plan: Mapping[str, Json], *, by: str, at: datetime, expires_at: datetime) -> None:
        """Store a plan that waits for a person; raises PlanError if the digest is not the plan's, and StoreError."""
        changes = list(dict.fromkeys(change.id for host in _checked(digest, plan).hosts for change in host.changes))
        row = {"digest": digest, "plan": dict(plan), "requested_at": at, "requested_by": by, "expires_at": expires_at}
        with self._database.write() as connection:
            connection.execute(insert(approvals), {**row, "state": ApprovalState.PENDING.value})
            connection.execute(insert(approval_changes), [{"digest": digest, "change_id": one} for one in changes])
            append_in(connection, [Record("approval_requested", by, "", {"plan": digest, "changes": changes}, at)])

    def latest(self, limit: int = 50) -> list[Approval]:
        """The newest requests, newest first."""
        query = select(approvals).order_by(approvals.c.requested_at.desc(), approvals.c.digest).limit(limit)
        with self._database.read() as connection:
            return [_approval(connection, row) for row in connection.execute(query).all()]

    def pending(self, *, at: datetime) -> list[Approval]:
        """Those about which somebody could decide at a time, oldest first."""
        is_open = (approvals.c.requested_at <= at) & (approvals.c.expires_at > at)
        is_open &= approvals.c.decided_at.is_(None) | (approvals.c.decided_at > at)
        query = select(approvals).where(is_open).order_by(approvals.c.requested_at, approvals.c.digest)
        with self._database.read() as connection:
            return [_approval(connection, row) for row in connection.execute(query).all()]

    def get(self, digest: str) -> Approval | None:
        """The request of exactly this plan."""
        with self._database.read() as connection:
            row = connection.execute(select(approvals).where(approvals.c.digest == digest)).first()
            return _approval(connection, row) if row else None

    def decide(self, digest: str, *, approve: bool, by: str, at: datetime) -> Approval:
        """Approve or deny the plan whose digest begins so; raises UsageError or PlanError if that cannot be."""
        state = ApprovalState.APPROVED if approve else ApprovalState.DENIED
        with self._database.write() as connection:
            row = _find(connection, digest)
            _checked(row.digest, row.plan)
            no = objection(_approval(connection, row), by=by, at=at)
            if no:
                raise UsageError(f"plan {row.digest[:12]} cannot be {state}: {no}")
            decided = {"state": state.value, "decided_at": at, "decided_by": by}
            connection.execute(update(approvals).where(approvals.c.digest == row.digest).values(decided))
            append_in(connection, [Record(f"approval_{state}", "", "", {"plan": row.digest, "by": by}, at)])
            return _approval(connection, _find(connection, row.digest))

    def approved_changes(self, *, at: datetime) -> frozenset[str]:
        """Ids of the changes that are approved, unexpired and not used up."""
        query = (
            select(approval_changes.c.change_id)
            .join(approvals, approvals.c.digest == approval_changes.c.digest)
            .where(
                approvals.c.state == ApprovalState.APPROVED.value,
                approvals.c.expires_at > at,
                approval_changes.c.used_at.is_(None),
            )
        )
        with self._database.read() as connection:
            return frozenset(connection.scalars(query))

    def use(self, changes: Collection[str], *, at: datetime) -> None:
        """Use up what was approved of these changes."""
        if changes:
            with self._database.write() as connection:
                use_in(connection, [(change, at) for change in changes])


def use_in(connection: Connection, changes: Sequence[tuple[str, datetime]]) -> None:
    """Use up the approvals of changes, each at its time, inside the caller's transaction."""
    if changes:
        connection.execute(_USE, [{"of_change": change, "at": at} for change, at in changes])


def _checked(digest: str, document: Mapping[str, Json]) -> Plan:
    plan = plan_from_json(document)
    if plan.digest != digest:
        raise PlanError(Reason.PLAN_CHANGED, f"plan {digest[:12]} was exchanged for another one; make the plan anew")
    return plan


def _find(connection: Connection, digest: str) -> Any:
    query = select(approvals).where(approvals.c.digest.startswith(digest, autoescape=True)).limit(2)
    found = connection.execute(query).all() if digest else []
    if len(found) != 1:
        many = f"several plans begin with {digest!r}" if found else f"no plan has the digest {digest!r}"
        raise UsageError(f"{many}; see `maintenancebot approvals list`")
    return found[0]


def _approval(connection: Connection, row: Any) -> Approval:
    query = select(approval_changes.c.change_id, approval_changes.c.used_at).where(
        approval_changes.c.digest == row.digest
    )
    return Approval(
        digest=row.digest,
        run_id=row.plan["run_id"],
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        state=ApprovalState(row.state),
        decided_by=row.decided_by or "",
        decided_at=row.decided_at,
        hosts=tuple(host["host"] for host in row.plan["hosts"]),
        changes={used.change_id: used.used_at for used in connection.execute(query)},
    )
