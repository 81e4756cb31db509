"""Takes a plan file as it is, or refuses it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from maintenancebot.errors import PlanError
from maintenancebot.model import Reason, TaskType
from maintenancebot.plan.document import Plan, check_usable, plan_from_json
from maintenancebot.settings import DRIFT, Settings

SIZE_CAP = 512 * 1024 * 1024


def from_plan_file(path: Path, settings: Settings, now: datetime) -> Plan:
    """The plan in a file; raises PlanError when it is damaged, changed, stale, or of another configuration."""
    try:
        if not path.is_file():
            raise PlanError(Reason.PLAN_CHANGED, f"{path}: not a file; make one with `dry-run --out`")
        if path.stat().st_size > SIZE_CAP:
            raise PlanError(Reason.PLAN_CHANGED, f"{path}: too large for a plan")
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PlanError(Reason.PLAN_CHANGED, f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise PlanError(Reason.PLAN_CHANGED, f"{path}: not a plan ({error}); make the plan anew") from None
    try:
        plan = plan_from_json(document)
        check_usable(plan, now, settings.digest)
        _check_tasks(plan, settings)
    except PlanError as error:
        raise PlanError(error.reason, f"{path}: {error}") from error.__cause__
    return plan


def _check_tasks(plan: Plan, settings: Settings) -> None:
    types = {DRIFT: TaskType.DRIFT, **{task.name: task.type for task in settings.tasks}}
    for host in plan.hosts:
        for task in host.tasks:
            if types.get(task.task) != task.type:
                raise PlanError(Reason.PLAN_CHANGED, f"the configuration has no task {task.task!r} of this type")
