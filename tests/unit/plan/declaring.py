"""Declared items, what a host told of them, and the plan that comes of both."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from maintenancebot.model import Autonomy, Finding, Host, HostFacts, Reason, State
from maintenancebot.plan import drift
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import (
    Correct,
    Correction,
    DriftTask,
    Item,
    ItemKind,
    Settings,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HOST = Host("web-1", "192.0.2.1", user="bot")
LOGS = {"name": "logs", "type": "cleanup", "patterns": [{"path": "/var/log/**/*.log", "retention_days": 30}]}
WANTED = {"state": "present", "sha256": "aa", "size": 3, "mode": "0644"}
FOUND = {"state": "present", "sha256": "bb", "size": 4, "mode": "0644"}


def settings(**healing):
    return Settings.model_validate({"tasks": [LOGS], "remediation": {"drift": healing}})


def motd(**more):
    more = {"correct": Correct.SAFE, "content": b"abc", **more}
    return Item(ItemKind.FILE, more.pop("name", "/etc/motd"), more.pop("wanted", WANTED), **more)


def differs(item, found=FOUND, state="differs", keys=("sha256", "size"), **more):
    data = {"state": state, "found": found, "differs": list(keys), "identity": {"inode": 7}, **more}
    return Finding("task:drift", "item", item.id, data)


def task(*items, **more):
    return DriftTask(items, more.pop("approval", Autonomy.AUTO), **more)


def plan(declared, *findings, uid=0, offset=0.0, rules=None, result=None, matches=None, now=NOW, at=HOST):
    host = HostFacts("m", "b", "web-1", "debian", "12", "6.1", "3.11.2", uid, now.timestamp() + offset, offset)
    count = len(declared.items) - len(findings) if matches is None else matches
    facts = {"items": len(declared.items), "matches": count}
    given = replace(result or ProbeResult(State.DONE), findings=findings, facts=facts)
    return drift.plan(at, declared, rules or settings(), host, given)


def verdict(made):
    return made.state, made.reason


def explained(item, finding, **more):
    made = plan(task(item, **more), finding)
    return made.facts["explained"][0]["explained"]["by"] if verdict(made) == (State.NOTHING, Reason.EXPLAINED) else ""


def corrected(change, ago, *, held=True):
    """An earlier correction, some hours ago."""
    return Correction(change.name, NOW - timedelta(hours=ago), change.effect["from"], change.effect["to"], held)
