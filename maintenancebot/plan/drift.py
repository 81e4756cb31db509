"""Judges how a host differs from its declared state, and plans the corrections that are allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC

from maintenancebot.model import Autonomy, Change, Host, HostFacts, Json, Reason, State
from maintenancebot.plan import contested, corrections
from maintenancebot.plan.differences import Difference, Seen, read
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import Correction, DriftTask, Settings, Task

MOST_ROWS = 100
MOST_NAMED = 5
VERDICT_STATE, VERDICT_REASON = "verdict_state", "verdict_reason"
LEFT_ALONE = "failed_if_left_alone"
"""The reason that holds when the host leaves a correction alone, as of an immutable file: it is drift then."""


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """The verdict over all items, and a correction for each that may be corrected."""
    assert isinstance(task, DriftTask)
    if result.state is not State.DONE:
        nothing = "no baseline declares anything for this host" if result.reason is Reason.NOT_CONFIGURED else ""
        return TaskPlan(task.name, task.type, result.state, result.reason, result.detail or nothing)
    judged = _Judging(host, task, settings.remediation.drift.corrections_per_day, facts, result)
    for seen in read(task, result, judged.at, facts.clock_offset):
        judged.take(seen)
    told = judged.facts()
    state, reason, detail = _verdict(judged)
    if not judged.changes:
        return TaskPlan(task.name, task.type, state, reason, detail, facts=told)
    told[LEFT_ALONE] = Reason.DRIFTED.value
    if state in (State.FAILED, State.UNKNOWN):
        told |= {VERDICT_STATE: state.value, VERDICT_REASON: reason.value}
    return TaskPlan(task.name, task.type, State.PLANNED, Reason.NONE, detail, tuple(judged.changes), told)


@dataclass
class _Judging:
    """One host's differences, each put where it belongs."""

    host: Host
    task: DriftTask
    limit: int  # corrections of one item in a day
    machine: HostFacts
    result: ProbeResult
    drifted: list[Seen] = field(default_factory=list)  # reported only
    explained: list[Seen] = field(default_factory=list)
    contested: list[Seen] = field(default_factory=list)
    unreadable: list[Seen] = field(default_factory=list)
    not_applicable: list[Seen] = field(default_factory=list)
    corrected: list[Seen] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    notes: dict[str, dict[str, Json]] = field(default_factory=dict)  # more of a row, by item

    @property
    def at(self) -> float:
        """The time by the controller's clock."""
        return self.machine.clock - self.machine.clock_offset

    def take(self, seen: Seen) -> None:
        """Judge one item."""
        if seen.difference is Difference.NOT_APPLICABLE:
            self.not_applicable.append(seen)
        elif seen.explained:
            self.explained.append(seen)
        elif seen.difference is Difference.UNREADABLE:
            self.unreadable.append(seen)
        elif no := self._no(seen):
            self._only_report(seen, no)
        else:
            self._correct(seen)

    def facts(self) -> dict[str, Json]:
        """The rows of the report; `corrected` has those with a change."""
        lists = {
            "drifted": self.drifted,
            "explained": self.explained,
            "contested": self.contested,
            "unreadable": self.unreadable,
            "corrected": self.corrected,
        }
        every = [*self.not_applicable, *(one for seen in lists.values() for one in seen)]
        return {
            "items": len(self.task.items),
            "matches": self.result.facts["matches"],
            "counts": dict(Counter(one.difference.value for one in every)),
            **{name: [self._row(one) for one in seen[:MOST_ROWS]] for name, seen in lists.items()},
            **_in_short(lists, self.not_applicable),
        }

    def _row(self, seen: Seen) -> dict[str, Json]:
        return seen.row(**self.notes.get(seen.item.id, {}))

    def _no(self, seen: Seen) -> str:
        """Why a difference is only reported; empty when it may be corrected as far as this host goes."""
        if no := corrections.objection(seen, self.host):
            return no
        if self.task.approval is Autonomy.OBSERVE:
            return "autonomy is `observe`"
        return "" if self.machine.is_root else "only root can correct it"

    def _only_report(self, seen: Seen, why: str) -> None:
        self.drifted.append(seen)
        self.notes[seen.item.id] = {"note": why}

    def _correct(self, seen: Seen) -> None:
        """Plan the correction, unless earlier ones of the item speak against it."""
        change = corrections.correction(self.host, self.task.name, seen)
        earlier = [one for one in self.task.corrections if one.item == seen.item.id and self._counts(one)]
        contest = contested.contest(earlier, change.effect, self.limit)
        failed = contested.failed_before(earlier, change.effect)
        if contest is not None:
            self.contested.append(seen)
            self.notes[seen.item.id] = {"note": contest.words, "corrections": list(contest.corrections)}
        elif failed is not None:
            self._only_report(seen, f"its correction went wrong at {_in_words(failed)}; not tried again within a day")
        else:
            self.corrected.append(seen)
            self.changes.append(change)

    def _counts(self, earlier: Correction) -> bool:
        return self.at < (earlier.at + contested.REMEMBERED).timestamp()


def _in_short(lists: Mapping[str, Sequence[Seen]], not_applicable: Sequence[Seen]) -> dict[str, Json]:
    """What has no row: it is neither as declared, nor may it be taken for that."""
    beyond = [
        {
            "item": one.item.id,
            "as": name,
            "state": one.difference.value,
            "explained": {"by": one.explained.get("by", "")},
        }
        for name, seen in lists.items()
        for one in seen[MOST_ROWS:]
    ]
    told = {"beyond": beyond, "not_applicable": [one.item.id for one in not_applicable]}
    return {name: found for name, found in told.items() if found}


def _verdict(judged: _Judging) -> tuple[State, Reason, str]:
    """The state without the corrections: the worst first."""
    detail = _detail(judged)
    if judged.contested:
        return State.FAILED, Reason.CONTESTED, detail
    if judged.drifted:
        return State.FAILED, Reason.DRIFTED, detail
    if judged.unreadable:
        return State.UNKNOWN, Reason.UNREADABLE, detail
    if judged.explained:
        return State.NOTHING, Reason.EXPLAINED, detail
    if len(judged.not_applicable) == len(judged.task.items):
        return State.NOTHING, Reason.NOT_APPLICABLE, detail
    return State.NOTHING, Reason.AS_DECLARED, "; ".join(filter(None, (f"{len(judged.task.items)} items", detail)))


def _detail(judged: _Judging) -> str:
    parts = (
        _named("contested", [_with_writers(one, judged) for one in judged.contested]),
        _named("drifted", [one.words for one in judged.drifted]),
        _named("unreadable", [one.item.id for one in judged.unreadable]),
        f"{len(judged.explained)} explained" if judged.explained else "",
        f"{len(judged.not_applicable)} not applicable" if judged.not_applicable else "",
    )
    return "; ".join(part for part in parts if part)


def _named(what: str, names: Sequence[str]) -> str:
    """How many, and the first few of them by name."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{len(names)} {what}: {', '.join(names[:MOST_NAMED])}{more}" if names else ""


def _with_writers(seen: Seen, judged: _Judging) -> str:
    by = in_words(seen.writers)
    return f"{seen.words} ({judged.notes[seen.item.id]['note']}{f'; {by}' if by else ''})"


def _in_words(failed: Correction) -> str:
    return f"{failed.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def in_words(writers: Mapping[str, Json]) -> str:
    """Who wrote it, as far as the host knows; empty when it knows nothing."""
    package, processes, logins = (writers.get(key) for key in ("package", "processes", "logins"))
    parts = (
        f"package {package}" if package else "",
        f"open in {_listed(processes)}" if processes else "",
        f"logged in then: {_listed(logins)}" if logins else "",
    )
    return "; ".join(part for part in parts if part)


def _listed(values: Json) -> str:
    listed = values if isinstance(values, list) else [values]
    return ", ".join(_said(one) for one in listed[:MOST_NAMED])


def _said(value: Json) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(one) for one in value.values() if one not in (None, ""))
    return str(value)
