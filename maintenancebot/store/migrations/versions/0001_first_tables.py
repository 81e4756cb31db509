"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "identity",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("store_id", sa.String(32), nullable=False),
        sa.Column("probed", sa.Text, nullable=False),
    )
    _create_audit()
    _create_runs()
    _create_guards()


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("change_id", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ix_audit_kind_at", "audit", ["kind", "at", "host"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        for event in ("update", "delete"):
            op.execute(
                f"CREATE TRIGGER audit_no_{event} BEFORE {event} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )


def _create_runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("command", sa.String(32), nullable=False),
        sa.Column("configuration", sa.String(64), nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("state", sa.String(16)),
        sa.Column("totals", sa.Text),
        sa.Column("report", sa.Text),
    )
    op.create_index("ix_runs_started_at", "runs", ["started_at"])
    op.create_table(
        "intents",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("change_id", sa.String(64), nullable=False),
        sa.Column("change", sa.Text, nullable=False),
        sa.Column("plan_digest", sa.String(64), nullable=False),
        sa.Column("recorded_at", sa.BigInteger, nullable=False),
        sa.Column("machine_id", sa.Text, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("state", sa.String(16)),
        sa.Column("reason", sa.String(32)),
    )
    op.create_index("ix_intents_run_host_change", "intents", ["run", "host", "change_id"])
    op.create_index("ix_intents_closed_at", "intents", ["closed_at"])
    op.create_table(
        "machines",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("machine_id", sa.Text, nullable=False),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
    )


def _create_guards() -> None:
    op.create_table(
        "guard",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("set_at", sa.BigInteger, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "approvals",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("requested_at", sa.BigInteger, nullable=False),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("decided_at", sa.BigInteger),
        sa.Column("decided_by", sa.Text),
    )
    op.create_index("ix_approvals_requested_at", "approvals", ["requested_at"])
    op.create_table(
        "approval_changes",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("change_id", sa.String(64), primary_key=True),
        sa.Column("used_at", sa.BigInteger),
    )
    op.create_index("ix_approval_changes_change_id", "approval_changes", ["change_id"])
    op.create_table(
        "breakers",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("open_until", sa.BigInteger),
    )
    op.create_table(
        "sightings",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("object_id", sa.Text, primary_key=True),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
    )
