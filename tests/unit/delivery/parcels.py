"""Messages as they wait in the state."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from maintenancebot.delivery.parcel import Parcel
from maintenancebot.model import Reason, State
from maintenancebot.report.week import HostWeek, Line, Week
from maintenancebot.report.week_json import week_to_json

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)


def escalation(**more: Any) -> Parcel:
    """A person is needed on web-1."""
    body = {"episode": "e1", "host": "web-1", "rule": "disk", "subject": "/srv", "reason": "not_enough", "detail": ""}
    return Parcel("episode:e1:escalated", "escalated", body, AT, **more)


def summary(hosts: int = 300, **more: Any) -> Parcel:
    """A week in which the last host of many failed."""
    states = [State.DONE] * (hosts - 1) + [State.FAILED]
    names = [f"host-{number:03}" for number in range(hosts)]
    looked = tuple(
        HostWeek(name, state, Reason.NONE, groups=(f"group-{number % 3}",))
        for number, (name, state) in enumerate(zip(names, states, strict=True))
    )
    line = Line(names[-1], "backups", State.FAILED, Reason.UNREACHABLE)
    week = Week("MaintenanceBot", "2026-W47", AT, AT, "UTC", State.FAILED, "1 host failed", (line,), hosts=looked)
    body = {"facts": week_to_json(week), "prose": {"text": ""}}
    return Parcel("summary:2026-W47", "summary", body, AT, **more)
