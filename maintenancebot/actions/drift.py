"""Corrections: changes into steps with what is to be installed, and the helper's answers into outcomes."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from maintenancebot.actions.answers import outcomes as outcomes
from maintenancebot.model import Change, Json, Step
from maintenancebot.settings import DriftTask, Settings, Task

OP = "drift.correct"


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """One step for each item, so that each asks for permission and is recorded by itself."""
    assert isinstance(task, DriftTask)
    contents = {item.id: item.content for item in task.items if item.content is not None}
    args: dict[str, Json] = {
        "revert_seconds": settings.remediation.drift.revert_seconds,
        "keep_days": settings.deletion.keep_days,  # of what is replaced, in the trash
    }
    return [
        Step(
            id=f"correct-{change.id}",
            task=task.name,
            op=OP,
            changes=(change,),
            args={**args, **_content(contents.get(change.name))},
        )
        for change in changes
    ]


def _content(content: bytes | None) -> dict[str, Json]:
    return {} if content is None else {"content": base64.b64encode(content).decode("ascii")}
