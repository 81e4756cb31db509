"""Judges backups: each source by its own level and evidence, the worst of them decides; plans trial restores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from maintenancebot.model import Change, Finding, Host, HostFacts, Json, Level, Reason, State
from maintenancebot.plan import backup_history, backup_trials
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Settings, Task
from maintenancebot.settings.sources import (
    HOST_SOURCES,
    AwsBackupSource,
    BackupSource,
    BorgSource,
    EbsSource,
    FileSource,
    RdsSource,
    ResticSource,
    S3Source,
)
from maintenancebot.settings.tasks import VerifyTask

KIND = "backups"
REMEMBERED = "remembered"
STATES = {"ok": State.DONE, "bad": State.FAILED, "unknown": State.UNKNOWN}
SEEN = ("path", "level", "evidence", "others", "links", "notes", "series")
VERDICT_STATE, VERDICT_REASON = "verdict_state", "verdict_reason"
_ORDER = (State.DONE, State.UNKNOWN, State.FAILED)
_LEVELS = tuple(Level)

NOT_CONFIGURED = (
    "the task names no backups; write what must be there, for example "
    'sources: [{type: files, path: "/var/backups/db-*.sql.gz"}]'
)


@dataclass(frozen=True)
class Judged:
    """One source: its state and why, the level that it reached, and what was seen."""

    name: str
    state: State
    reason: Reason
    detail: str
    level: Level
    data: Mapping[str, Json]

    def fact(self) -> dict[str, Json]:
        """The source for the report."""
        seen = {key: self.data[key] for key in SEEN if key in self.data}
        verdict = {"state": self.state.value, "reason": self.reason.value, "detail": self.detail}
        return {"source": self.name, **verdict, **seen, "level": self.level.value}

    def noting(self, note: str) -> Judged:
        """The same with a note for people."""
        return replace(self, data={**self.data, "notes": [*(self.data.get("notes") or []), note]})

    def said(self) -> str:
        """The source in one line: its level and what it is known by, or its fault."""
        if self.state is not State.DONE:
            return f"{self.name}: {self.detail or self.reason.value} ({self.level.value})"
        return f"{self.name}: {', '.join([self.level.value, *_evidence(self.data.get('evidence') or {})])}"


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """The verdict over all sources, done (fresh), failed or unknown, and the trial restores that are due."""
    assert isinstance(task, VerifyTask)
    if not task.sources:
        return TaskPlan(task.name, task.type, State.SKIPPED, Reason.NOT_CONFIGURED, NOT_CONFIGURED)
    skewed = abs(facts.clock_offset) > settings.guards.max_clock_skew_seconds
    now, known = facts.clock - facts.clock_offset, result.facts.get(REMEMBERED) or {}
    judged: list[Judged] = []
    changes: dict[str, Change] = {}
    for number, source in enumerate(task.sources):
        looked, trial = _looked(source, result, number, skewed), known.get(backup_trials.key(label(source)))
        one = _with_trial(_with_history(looked, known.get(copies_key(source))), trial, now)
        why_not = backup_trials.obstacle(source, looked.data, is_root=facts.is_root)
        judged.append(one.noting(why_not) if why_not and looked.state is State.DONE else one)
        if not why_not and looked.state is State.DONE and one.reason in (Reason.FRESH, Reason.RESTORE_FAILED):
            due = backup_trials.due(host, task.name, source, looked.name, looked.data, trial, now)
            changes |= {due.id: due} if due else {}
    return _task_plan(task, judged, list(changes.values()))


def learned(task: Task, result: ProbeResult, known: Mapping[str, Json], at: float) -> Mapping[str, Json]:
    """The history of each source with this look in it, and the outcomes of its trials."""
    assert isinstance(task, VerifyTask)
    rows: dict[str, Json] = {}
    for number, source in enumerate(task.sources):
        copies, trial = copies_key(source), backup_trials.key(label(source))
        data = _answer(result.findings, number)
        if data is not None:
            rows[copies] = backup_history.with_look(known.get(copies), data, at)
        elif copies in known:
            rows[copies] = known[copies]
        if trial in known:
            rows[trial] = known[trial]
    return rows


def label(source: BackupSource) -> str:
    """What a source is called in reports and in the memory: its name, else what it looks at."""
    return source.name or _where(source)


def copies_key(source: BackupSource) -> str:
    """Under which the history of a source's copies is remembered; another name does not lose it."""
    return f"copies of {source.type} {_where(source)}"


def _where(source: BackupSource) -> str:
    match source:
        case FileSource():
            return source.path
        case ResticSource() | BorgSource():
            return source.repository
        case S3Source():
            return f"{source.bucket}/{source.key}"
        case RdsSource():
            return source.instance or source.cluster or ""
        case EbsSource():
            return ", ".join(source.volumes or (f"{key}={value}" for key, value in source.tags.items()))
        case AwsBackupSource():
            return source.resource


def _answer(findings: Sequence[Finding], number: int) -> Mapping[str, Json] | None:
    return next((f.data for f in findings if f.kind == "backup" and f.data.get("source") == number), None)


def _looked(source: BackupSource, result: ProbeResult, number: int, skewed: bool) -> Judged:
    """One source as it was looked at; what was not answered, or was judged by a wrong clock, is unknown."""
    name = label(source)
    data = _answer(result.findings, number)
    if data is None:
        why = result.reason if result.state is not State.DONE and result.reason else Reason.LINK_LOST
        return _unknown(name, why, result.detail or "no answer came for this source", {})
    state, reason = STATES.get(data.get("verdict", ""), State.UNKNOWN), _reason(data.get("reason", ""))
    if data.get("level", Level.NONE) not in _LEVELS:
        return _unknown(name, Reason.HELPER_ERROR, "the answer names no level", {})
    if state is State.DONE and skewed and isinstance(source, HOST_SOURCES):
        return _unknown(name, Reason.CLOCK_SKEW, "the host's clock is wrong: ages cannot be told", data)
    if (state is State.DONE) is not (reason is Reason.FRESH):
        return _unknown(name, Reason.HELPER_ERROR, "the answer contradicts itself", data)
    return Judged(name, state, reason, str(data.get("detail", "")), Level(data.get("level", Level.NONE)), data)


def _unknown(name: str, reason: Reason, detail: str, data: Mapping[str, Json]) -> Judged:
    return Judged(name, State.UNKNOWN, reason, detail, Level(data.get("level", Level.NONE)), data)


def _with_history(one: Judged, row: Mapping[str, Json] | None) -> Judged:
    """The source beside its own history: a copy that is far from it is bad, whatever else is right with it."""
    found = backup_history.compare(row, one.data)
    evidence = {**(one.data.get("evidence") or {}), **found.facts}
    data = {**one.data, "evidence": evidence, "notes": [*(one.data.get("notes") or []), *found.notes]}
    if one.state is not State.DONE:
        return replace(one, data=data)
    if found.fault:
        level = min(one.level, Level.COMPLETE, key=_LEVELS.index)
        return Judged(one.name, State.FAILED, Reason.IMPLAUSIBLE, found.fault, level, data)
    return replace(
        one, data=data, level=Level.PLAUSIBLE if one.level is Level.COMPLETE and found.compared else one.level
    )


def _with_trial(one: Judged, row: Mapping[str, Json] | None, now: float) -> Judged:
    """The source with what its trials say: restored when that very copy was, bad when the last trial failed."""
    copy = str((one.data.get("evidence") or {}).get("id", ""))
    restored, told, fault = backup_trials.verdict(row, copy, now)
    data = {**one.data, "evidence": {**(one.data.get("evidence") or {}), **told}}
    if one.state is not State.DONE:
        return replace(one, data=data)
    if fault:
        return Judged(one.name, State.FAILED, Reason.RESTORE_FAILED, fault, one.level, data)
    return replace(one, data=data, level=Level.RESTORED if restored and one.level is Level.READABLE else one.level)


def _reason(word: str) -> Reason:
    try:
        return Reason(word)
    except ValueError:
        return Reason.HELPER_ERROR


def _evidence(evidence: Mapping[str, Json]) -> list[str]:
    """What a level stands on, in few words."""
    told = []
    if "age_hours" in evidence:
        told.append(f"{evidence['age_hours']:g} hours old")
    told += [f"{evidence[key]:,} {word}" for key, word in backup_history.UNITS.items() if key in evidence]
    if "read_share" in evidence:
        told.append(f"{evidence['read_share']:.0%} of the data read in {evidence['read_in_days']} days")
    if "restored" in evidence:
        told.append(f"restored {evidence['restored']['days_ago']:g} days ago")
    if evidence.get("compared_with") == 0:
        told.append("no earlier copy to compare it with")
    return told


def _task_plan(task: VerifyTask, judged: Sequence[Judged], changes: Sequence[Change]) -> TaskPlan:
    worst = max(judged, key=lambda one: _ORDER.index(one.state))
    bad = [one for one in judged if one.state is not State.DONE]
    detail = "; ".join(one.said() for one in bad or judged)
    facts: dict[str, Json] = {
        "sources": [one.fact() for one in judged],
        "good": len(judged) - len(bad),
        "max_age_hours": task.max_age_hours,
    }
    if not task.alert_on_failure:
        facts["alert_on_failure"] = False
    if not changes:
        return TaskPlan(task.name, task.type, worst.state, worst.reason, detail, facts=facts)
    facts[VERDICT_STATE] = worst.state.value
    if worst.state is not State.DONE:
        facts[VERDICT_REASON] = worst.reason.value
    return TaskPlan(task.name, task.type, State.PLANNED, Reason.NONE, detail, tuple(changes), facts)
