"""The tables, as SQLAlchemy Core sees them; `migrations/` makes them.

Text that may come from a host (file names can hold bytes that are not UTF-8, or NUL) is kept as ASCII-escaped JSON.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from maintenancebot.model import Json
from maintenancebot.plan.document import canonical

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An instant, as microseconds since the epoch: sorts right, and knows no daylight saving."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Raises ValueError for a time without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """The instant in UTC."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class AsciiJson(TypeDecorator[Json]):
    """Any JSON value, in its one canonical form."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Json, dialect: Dialect) -> str | None:
        """ASCII text that holds lone surrogates and NULs as escapes."""
        return None if value is None else canonical(value).decode("ascii")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Json:
        """The value again."""
        return None if value is None else json.loads(value)


metadata = MetaData()

identity = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("store_id", String(32), nullable=False),
    Column("probed", Text, nullable=False),  # noise, written to see that the disk takes it
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("command", String(32), nullable=False),
    Column("configuration", String(64), nullable=False),
    Column("started_at", Moment, nullable=False, index=True),
    Column("finished_at", Moment),
    Column("state", String(16)),
    Column("totals", AsciiJson),
    Column("report", AsciiJson),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("run", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("change_id", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_kind_at", "kind", "at", "host"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("rows", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),  # of its row in the audit log
    Column("run", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("step", String(64), nullable=False),
    Column("change_id", String(64), nullable=False),
    Column("change", AsciiJson, nullable=False),
    Column("plan_digest", String(64), nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Column("machine_id", AsciiJson, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default="0"),  # of the host's lease
    Column("closed_at", Moment, index=True),
    Column("state", String(16)),
    Column("reason", String(32)),
    Index("ix_intents_run_host_change", "run", "host", "change_id"),
)

machines = Table(
    "machines",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("machine_id", AsciiJson, nullable=False),
    Column("address", String(255), nullable=False),
    Column("first_seen", Moment, nullable=False),
    Column("last_seen", Moment, nullable=False),
)

guard = Table(
    "guard",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("set_at", Moment, nullable=False),
    Column("by", AsciiJson, nullable=False),
    Column("reason", AsciiJson, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("plan", AsciiJson, nullable=False),
    Column("requested_at", Moment, nullable=False, index=True),
    Column("requested_by", AsciiJson, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_at", Moment),
    Column("decided_by", AsciiJson),
)

approval_changes = Table(
    "approval_changes",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("change_id", String(64), primary_key=True, index=True),
    Column("used_at", Moment),
)

breakers = Table(
    "breakers",
    metadata,
    Column("scope", String(16), primary_key=True),  # host, rule, group or fleet
    Column("name", String(255), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("open_until", Moment),
    Column("trial", AsciiJson),  # the host that tries for the others while the breaker is half-open
    Column("trial_until", Moment),  # then another one may
)

effects = Table(
    "effects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("rule", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("groups", AsciiJson, nullable=False),
    Column("good", Integer, nullable=False),
)

memories = Table(
    "memories",
    metadata,
    Column("host", String(255), primary_key=True),
    Column("kind", String(128), primary_key=True),
    Column("key", AsciiJson, primary_key=True),
    Column("value", AsciiJson, nullable=False),
    Column("at", Moment, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("owner", AsciiJson),  # null: nobody has it
    Column("fence", BigInteger, nullable=False),
    Column("doing", AsciiJson, nullable=False),
    Column("taken_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
)

slots = Table(
    "slots",
    metadata,
    Column("schedule", String(64), primary_key=True),
    Column("slot", BigInteger, primary_key=True, autoincrement=False),  # seconds since the epoch
    Column("rule", Text, nullable=False),  # expression and zone it follows; "" since its schedule is switched off
    Column("claimed_at", Moment, nullable=False),
    Column("owner", AsciiJson, nullable=False),
    Column("run", String(64), nullable=False),
    Column("finished_at", Moment),
    Column("state", String(16)),
    Column("reason", String(32)),
    Column("detail", AsciiJson),
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("received_at", Moment, nullable=False),
    Column("source", String(32), nullable=False),
    Column("key", String(64), nullable=False, unique=True),  # of fingerprint and start: the same alert again
    Column("status", String(16), nullable=False),  # firing or resolved, as was heard last
    Column("body", AsciiJson, nullable=False),
    Column("times", Integer, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("settled_at", Moment, index=True),
    Column("host", String(255), nullable=False),  # of the inventory; "" before it is settled, and for unknown ones
    Column("reason", String(32)),
    Column("detail", AsciiJson),
    Column("episode", String(64)),
    Index("ix_alerts_host_last_at", "host", "last_at"),
)

episodes = Table(
    "episodes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("rule", String(64), nullable=False),
    Column("host", String(255), nullable=False),
    Column("subject", AsciiJson, nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("reason", String(32), nullable=False),
    Column("detail", AsciiJson, nullable=False),
    Column("body", AsciiJson, nullable=False),
    Column("run", String(64), nullable=False),
    Column("opened_at", Moment, nullable=False, index=True),
    Column("changed_at", Moment, nullable=False),
    Column("closed_at", Moment, index=True),
)

messages = Table(
    "messages",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(128), nullable=False, unique=True),  # the same thing is told once
    Column("kind", String(32), nullable=False),
    Column("body", AsciiJson, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("sent_at", Moment, index=True),  # to everybody who is told
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("message", Integer, primary_key=True, autoincrement=False),
    Column("target", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("owner", AsciiJson),  # the process that tries now
    Column("tried_at", Moment, nullable=False),
    Column("next_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("reference", AsciiJson, nullable=False),  # where it stands, as its target calls it
    Column("detail", AsciiJson, nullable=False),  # why it did not go
)

llm_calls = Table(
    "llm_calls",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False, index=True),
    Column("purpose", String(32), nullable=False),
    Column("model", String(128), nullable=False),
    Column("digest", String(64), nullable=False),  # of what was asked
    Column("reserved_tokens", BigInteger, nullable=False),
    Column("reserved_cost", BigInteger, nullable=False),  # in millionths of a dollar
    Column("state", String(16), nullable=False),  # reserved, settled, or lost: then what was reserved counts
    Column("settled_at", Moment),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost", BigInteger),
    Column("reason", String(32)),
    Column("not_before", Moment),  # until then the endpoint wants to be left alone
)

llm_answers = Table(
    "llm_answers",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("at", Moment, nullable=False),
    Column("body", AsciiJson, nullable=False),
)

summaries = Table(
    "summaries",
    metadata,
    Column("week", String(16), primary_key=True),  # as ISO names it: 2026-W47
    Column("made_at", Moment, nullable=False),
    Column("facts", AsciiJson, nullable=False),
    Column("prose", AsciiJson, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("subject", String(128), nullable=False),
    Column("by", AsciiJson, nullable=False),
    Column("at", Moment, nullable=False),
)
