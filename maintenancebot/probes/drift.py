"""Drift: what the helper is to hold the host against, without contents of files where no difference is wanted."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace

from maintenancebot.model import Host, Json, Reason, State
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.session import Session
from maintenancebot.settings import DriftTask, Item, Settings, Task

OP = "drift"


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The declared items; nothing to ask where none is."""
    assert isinstance(task, DriftTask)
    return {"items": [_asked(item) for item in task.items]} if task.items else None


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """As the host told it; nobody knows how it is where it is not known how it should be."""
    assert isinstance(task, DriftTask)
    if task.problem:
        return replace(result, state=State.UNKNOWN, reason=Reason.BASELINE_INVALID, detail=task.problem)
    return result


def _asked(item: Item) -> dict[str, Json]:
    asked: dict[str, Json] = {"id": item.id, "kind": item.kind.value, "name": item.name, "wanted": dict(item.wanted)}
    if item.diff and item.content is not None:
        asked["content"] = base64.b64encode(item.content).decode("ascii")
    return asked
