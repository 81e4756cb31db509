"""Breakers of more than hosts, memories in place of sightings, leases, slots, alerts, episodes, messages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make them, and take the hosts' breakers over; nothing was ever written into `sightings`."""
    op.drop_table("sightings")
    op.add_column("intents", sa.Column("fence", sa.BigInteger, nullable=False, server_default="0"))
    _breakers()
    _memories_and_leases()
    _alerts()


def _breakers() -> None:
    op.rename_table("breakers", "breakers_of_hosts")
    op.create_table(
        "breakers",
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("open_until", sa.BigInteger),
        sa.Column("trial", sa.Text),
        sa.Column("trial_until", sa.BigInteger),
    )
    op.execute(
        "INSERT INTO breakers (scope, name, failures, open_until) "
        "SELECT 'host', host, failures, open_until FROM breakers_of_hosts"
    )
    op.drop_table("breakers_of_hosts")
    op.create_table(
        "effects",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("groups", sa.Text, nullable=False),
        sa.Column("good", sa.Integer, nullable=False),
    )
    op.create_index("ix_effects_at", "effects", ["at"])


def _memories_and_leases() -> None:
    op.create_table(
        "memories",
        sa.Column("host", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(128), primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("owner", sa.Text),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("doing", sa.Text, nullable=False),
        sa.Column("taken_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "slots",
        sa.Column("schedule", sa.String(64), primary_key=True),
        sa.Column("slot", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("claimed_at", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("state", sa.String(16)),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text),
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("received_at", sa.BigInteger, nullable=False),
        sa.Column("source", sa.String(32), nullable=False),
        sa.Column("key", sa.String(64), nullable=False, unique=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("last_at", sa.BigInteger, nullable=False),
        sa.Column("settled_at", sa.BigInteger),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("reason", sa.String(32)),
        sa.Column("detail", sa.Text),
        sa.Column("episode", sa.String(64)),
    )
    op.create_index("ix_alerts_settled_at", "alerts", ["settled_at"])
    op.create_index("ix_alerts_host_last_at", "alerts", ["host", "last_at"])
    op.create_table(
        "episodes",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("changed_at", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
    )
    op.create_index("ix_episodes_state", "episodes", ["state"])
    op.create_index("ix_episodes_opened_at", "episodes", ["opened_at"])
    op.create_index("ix_episodes_closed_at", "episodes", ["closed_at"])
    op.create_table(
        "messages",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(128), nullable=False, unique=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("sent_at", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_messages_sent_at", "messages", ["sent_at"])
