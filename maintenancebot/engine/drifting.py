"""Corrects a host's drift step by step, for an alert: what a run does, each step told, and a second look at the end.

scan -> measured, diagnosed, planned -> gate -> gated -> correct -> acted -> scan -> verified
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from maintenancebot.engine import asked, cycle, episodes, guards, probing, reporting
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.episodes import Healed, Steps
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.work import Work
from maintenancebot.model import ChangeReport, Host, HostReport, Json, Reason, State, TaskReport, worst
from maintenancebot.plan.document import TaskPlan
from maintenancebot.policy.episodes import EpisodeState, is_broken_off
from maintenancebot.settings import DriftTask
from maintenancebot.store import Store

SHOWN = 20
"""Items that an episode keeps."""


@dataclass(frozen=True)
class Order:
    """Whose drift is to be corrected; the task says how far the bot may go."""

    host: Host
    task: DriftTask

    @property
    def selected(self) -> tuple[Selected, ...]:
        """As a run would have it."""
        return (Selected(self.host, (self.task,)),)


def judge(order: Order, work: Work, store: Store, steps: Steps) -> Judged:
    """Scan, plan, and ask the gate as a run does; changes nothing."""
    name = order.host.name
    looked = _scan(order, work)
    _tell_look(looked, steps)
    seen = asked.seal({name: looked}, work)
    read = guards.read(store, order.selected, seen.plan, work)
    # One host's drift is no share of a fleet that a roll-out must not exceed.
    alone = {name: replace(one, fleet_share=0) for name, one in read.items()}
    return cycle.judge(order.selected, seen, work, alone)


def heal(order: Order, holding: Holding, steps: Steps) -> Healed:
    """Correct what may be corrected and look again; the caller holds the host, and has settled it."""
    work, store, host = holding.work, holding.store, order.host
    judged = judge(order, work, store, steps)
    answers = judged.decisions.get(host.name, {}).values()
    if not answers:
        return Healed(episodes.report_of(host, judged), judged)
    notes = guards.ask_for_approval(store, judged, work)
    counts = Counter("allowed" if one.allowed else one.reason.value for one in answers)
    steps.take(EpisodeState.GATED, gate=dict(counts))
    if not counts["allowed"]:
        return Healed(_unmade(episodes.report_of(host, judged)), judged, tuple(notes))
    ledger = Ledger(holding, judged.seen.plan.digest, work.settings.guards)
    judged = cycle.make(order.selected, judged, work, ledger, Brakes(work, ledger))
    outcomes = judged.outcomes[host.name].values()
    if any(is_broken_off(one.reason) for one in outcomes):
        return Healed(episodes.report_of(host, judged), judged, tuple(notes), acted=True)
    steps.take(EpisodeState.ACTED, acted=dict(Counter(one.state.value for one in outcomes)))
    found = verdict(episodes.report_of(host, judged), _scan(order, work))
    episodes.verified(found.tasks[0], steps)
    return Healed(found, judged, tuple(notes), acted=True)


def verdict(report: HostReport, after: Looked) -> HostReport:
    """The report with what the second look saw; the look decides, not what the changes say of themselves."""
    (task,) = report.tasks
    if after.plan is None:
        detail = f"not looked at afterwards: {after.detail}"
        judged = replace(task, state=worst([task.state, State.UNKNOWN]), reason=after.reason, detail=detail)
    else:
        judged = _judged(task, after.plan.tasks[0])
    return replace(report, state=judged.state, reason=judged.reason, tasks=(judged,))


def _scan(order: Order, work: Work) -> Looked:
    work.progress.start(1, "probe")
    looked = probing.look(order.host, (order.task,), work)
    work.progress.host(order.host.name, reporting.state_of_look(looked), looked.detail)
    work.progress.finish()
    return looked


def _judged(task: TaskReport, after: TaskPlan) -> TaskReport:
    state, reason, detail = _state(task, after)
    return replace(task, state=state, reason=reason, detail=detail, facts={**task.facts, **_left(after)})


def _state(task: TaskReport, after: TaskPlan) -> tuple[State, Reason, str]:
    """What went wrong with a change stands over what is left, what is left over what was left alone."""
    for state in (State.FAILED, State.UNKNOWN):
        bad = [one for one in task.changes if one.state is state]
        if bad:
            return state, bad[0].reason, "; ".join(_said(one) for one in bad)
    done = {one.change.name for one in task.changes if one.state is State.DONE}
    back = sorted(done & _different(after))
    if back:
        return State.FAILED, Reason.CONTESTED, f"corrected, and other again at the second look: {', '.join(back)}"
    unmade = _unmade_state(task)
    if unmade is not None:
        return (*unmade, task.detail)
    if after.changes:
        return State.FAILED, Reason.DRIFTED, f"drifted meanwhile: {', '.join(one.name for one in after.changes)}"
    if after.state is State.NOTHING and done:
        return State.DONE, Reason.VERIFIED, f"{len(done)} corrected, as declared at the second look"
    return after.state, after.reason, after.detail


def _different(after: TaskPlan) -> set[str]:
    """The items that are not as declared, those beyond the rows too."""
    found = {row["item"] for key in _DIFFERENT for row in after.facts.get(key, ())}
    return found | {row["item"] for row in after.facts.get("beyond", ()) if row["as"] in _DIFFERENT}


_DIFFERENT = ("drifted", "contested", "corrected", "unreadable")


def _left(after: TaskPlan) -> dict[str, Json]:
    """The facts of the second look, but for what the changes of the first one are about."""
    return {key: value for key, value in after.facts.items() if key != "corrected"}


def _unmade(report: HostReport) -> HostReport:
    """The report where nothing was allowed: what waits for a person stands over what is reported only."""
    (task,) = report.tasks
    unmade = _unmade_state(task)
    if unmade is None or unmade[0] is not State.WAITING:
        return report
    waiting = replace(task, state=unmade[0], reason=unmade[1])
    return replace(report, state=waiting.state, reason=waiting.reason, tasks=(waiting,))


def _unmade_state(task: TaskReport) -> tuple[State, Reason] | None:
    """Why changes were not made: those that wait first."""
    for state in (State.WAITING, State.SKIPPED):
        for one in task.changes:
            if one.state is state:
                return state, one.reason
    return None


def _said(one: ChangeReport) -> str:
    return ": ".join(part for part in (one.change.name, one.detail) if part)


def _tell_look(looked: Looked, steps: Steps) -> None:
    """The steps up to the plan: how much differs, what and by whom, and what would be done about it."""
    if looked.plan is None:
        return
    (task,) = looked.plan.tasks
    figures = {key: task.facts.get(key) for key in ("items", "matches", "counts")}
    steps.take(EpisodeState.MEASURED, task.reason, task.detail, drift=figures)
    rows = [row for key in _DIFFERENT for row in task.facts.get(key, ())]
    if not rows:
        return
    steps.take(EpisodeState.DIAGNOSED, found=[_short(row) for row in rows[:SHOWN]])
    counts = {key: len(task.facts.get(key, ())) for key in _DIFFERENT}
    steps.take(EpisodeState.PLANNED, task.reason, task.detail, plan=counts)


def _short(row: Json) -> dict[str, Json]:
    return {key: row.get(key) for key in ("item", "state", "differs", "writers", "correct", "note")}
