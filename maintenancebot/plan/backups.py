"""Judges backups: the worst source decides; nothing is ever changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Finding, Host, HostFacts, Json, Reason, State
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.tasks import VerifyTask

STATES = {"ok": State.DONE, "bad": State.FAILED, "unknown": State.UNKNOWN}
SEEN = ("path", "level", "evidence", "others", "links", "notes", "series")
_ORDER = (State.DONE, State.UNKNOWN, State.FAILED)

NOT_CONFIGURED = (
    "the task names no backups; write what must be there, for example "
    'sources: [{type: files, path: "/var/backups/db-*.sql.gz"}]'
)


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """The verdict over all sources of the task: done (fresh), failed or unknown."""
    assert isinstance(task, VerifyTask)
    if not task.sources:
        return TaskPlan(task.name, task.type, State.SKIPPED, Reason.NOT_CONFIGURED, NOT_CONFIGURED)
    if result.state is not State.DONE:
        state = State.SKIPPED if result.state is State.SKIPPED else State.UNKNOWN
        return TaskPlan(task.name, task.type, state, result.reason, result.detail, facts=dict(result.facts))
    skewed = abs(facts.clock_offset) > settings.guards.max_clock_skew_seconds
    sources = [
        _judge(source.name or str(getattr(source, "path", source.type)), result.findings, n, skewed)
        for n, source in enumerate(task.sources)
    ]
    return _task_plan(task, sources)


def _judge(name: str, findings: Sequence[Finding], number: int, skewed: bool) -> dict[str, Json]:
    """One source for the report; what was not answered, or was judged by a wrong clock, is unknown."""
    data = next((f.data for f in findings if f.kind == "backup" and f.data.get("source") == number), None)
    if data is None:
        return _source(name, State.UNKNOWN, Reason.LINK_LOST, "the host gave no answer for this source", {})
    state = STATES.get(data.get("verdict", ""), State.UNKNOWN)
    reason = _reason(data.get("reason", ""))
    if state is State.DONE and skewed:
        return _source(name, State.UNKNOWN, Reason.CLOCK_SKEW, "the host's clock is wrong: ages cannot be told", data)
    if (state is State.DONE) is not (reason is Reason.FRESH):
        return _source(name, State.UNKNOWN, Reason.HELPER_ERROR, "the answer contradicts itself", data)
    return _source(name, state, reason, str(data.get("detail", "")), data)


def _reason(word: str) -> Reason:
    try:
        return Reason(word)
    except ValueError:
        return Reason.HELPER_ERROR


def _source(name: str, state: State, reason: Reason, detail: str, data: Mapping[str, Json]) -> dict[str, Json]:
    seen = {key: data[key] for key in SEEN if key in data}
    return {"source": name, "state": state.value, "reason": reason.value, "detail": detail, **seen}


def _task_plan(task: VerifyTask, sources: Sequence[Mapping[str, Json]]) -> TaskPlan:
    worst = max(sources, key=lambda source: _ORDER.index(State(source["state"])))
    bad = [source for source in sources if source["state"] != State.DONE]
    if bad:
        detail = "; ".join(f"{source['source']}: {source['detail'] or source['reason']}" for source in bad)
    else:
        detail = "; ".join(f"{source['source']}: {source['level'].replace('_', ' ')}" for source in sources)
    return TaskPlan(
        task.name,
        task.type,
        State(worst["state"]),
        Reason(worst["reason"]),
        detail,
        facts={"sources": list(sources), "good": len(sources) - len(bad), "max_age_hours": task.max_age_hours},
    )
