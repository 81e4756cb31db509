"""What looks and outcomes leave for later looks: the subjects say what, the store keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from maintenancebot.catalog import SUBJECTS, Learns, Remembers
from maintenancebot.engine.work import Work
from maintenancebot.model import Host, Json, Outcome, TaskType
from maintenancebot.plan.document import HostPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Task
from maintenancebot.store import Store

FACT = "remembered"
"""The fact in which a planner finds its rows."""


class StoreMemory:
    """The store as a memory; one that is only read, as in a dry run, keeps nothing."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now

    def read(self, host: str, kind: str) -> Mapping[str, Json]:
        """What is remembered; raises StoreError."""
        return self._store.memories.read(host, kind)

    def keep(self, host: str, kind: str, rows: Mapping[str, Json]) -> None:
        """Remember exactly these rows; raises StoreError."""
        if not self._store.read_only:
            self._store.memories.keep(host, kind, rows, at=self._now())


def recalled(host: Host, task: Task, result: ProbeResult, work: Work) -> ProbeResult:
    """The result with what is remembered for its planner, this look included; raises StoreError."""
    planner = SUBJECTS[task.type].planner
    if not isinstance(planner, Remembers):
        return result
    kind = _kind(planner, task.name)
    rows = planner.learned(task, result, work.memory.read(host.name, kind), work.now().timestamp())
    work.memory.keep(host.name, kind, rows)
    return replace(result, facts={**result.facts, FACT: dict(rows)})


def learn(plan: HostPlan, outcomes: Mapping[str, Outcome], work: Work) -> None:
    """Remember what became of a host's changes where its subject wants to know; raises StoreError."""
    for task in plan.tasks:
        planner, actions = _parts(task.type)
        made = [change for change in task.changes if change.id in outcomes]
        if not made or not isinstance(planner, Remembers) or not isinstance(actions, Learns):
            continue
        kind = _kind(planner, task.task)
        rows = dict(work.memory.read(plan.host, kind))
        for change in made:
            row = actions.learned(change, outcomes[change.id], rows.pop(change.name, None), work.now().timestamp())
            rows.update({} if row is None else {change.name: row})
        work.memory.keep(plan.host, kind, rows)


def _parts(type_: TaskType) -> tuple[object, object]:
    subject = SUBJECTS[type_]
    return subject.planner, subject.actions


def _kind(planner: Remembers, task: str) -> str:
    return f"{planner.KIND}:{task}"
