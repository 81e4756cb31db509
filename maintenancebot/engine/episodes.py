"""Heals a full file system step by step, for an alert or on a person's word: the one way for both.

look -> measured, diagnosed, planned -> gate -> gated -> act -> acted -> measure -> verified
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from maintenancebot.engine import asked, cycle, guards, reconcile, remediation, reporting
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.probing import Looked
from maintenancebot.engine.remediation import Ranking
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Autonomy, Host, HostReport, Json, Outcome, Reason, TaskReport
from maintenancebot.plan.filesystem import Disk
from maintenancebot.plan.ways import TASK
from maintenancebot.policy import autonomy, gate
from maintenancebot.policy.breakers import effect
from maintenancebot.policy.episodes import Episode, EpisodeState, is_broken_off, moved
from maintenancebot.settings import CleanupTask
from maintenancebot.store import Store
from maintenancebot.store.episodes import Telling

_log = logging.getLogger(__name__)


class Steps(Protocol):
    """Is told each step before what follows it is begun."""

    def take(self, state: EpisodeState, reason: Reason = Reason.NONE, detail: str = "", **facts: Json) -> None:
        """This was found, or done."""
        ...


class Untold:
    """The steps of what a person asks for: the run's report tells them."""

    def take(self, state: EpisodeState, reason: Reason = Reason.NONE, detail: str = "", **facts: Json) -> None:
        """Nobody has to go on with it later."""


class StoredSteps:
    """The steps of an episode, each on disk before the next one is begun; raises StoreError when it cannot be."""

    def __init__(self, episode: Episode, store: Store, work: Work) -> None:
        self.episode = episode
        self._store = store
        self._work = work

    def begin(self) -> None:
        """A run takes the episode up."""
        runs = [*self.episode.body.get("runs", ()), self._work.run_id]
        self.episode = replace(self.episode, run=self._work.run_id)
        self.take(self.episode.state, self.episode.reason, self.episode.detail, runs=runs)

    def take(self, state: EpisodeState, reason: Reason = Reason.NONE, detail: str = "", **facts: Json) -> None:
        """Store a step."""
        self._move(moved(self.episode, state, self._work.now(), reason, detail, **facts), None)

    def end(self, state: EpisodeState, reason: Reason, detail: str, telling: Telling | None) -> None:
        """Store the last step, or the one that waits for a person, together with what is to be told of it."""
        self._move(moved(self.episode, state, self._work.now(), reason, detail), telling)

    def _move(self, episode: Episode, telling: Telling | None) -> None:
        self._store.episodes.move(episode, telling)
        self.episode = episode
        facts = {"episode": episode.id, "host": episode.host, "rule": episode.rule, "reason": episode.reason.value}
        _log.info("an episode got on", extra={"action": f"episode_{episode.state}", **facts})


@dataclass(frozen=True)
class Order:
    """What is to be healed, and how far the bot may go."""

    host: Host
    mount: str
    tasks: Sequence[CleanupTask]  # that are for the host
    autonomy: Autonomy
    tried: frozenset[str] = frozenset()  # changes that were made or tried before


@dataclass(frozen=True)
class Healed:
    """What came of it."""

    report: HostReport
    judged: Judged
    notes: tuple[str, ...] = ()
    acted: bool = False  # something was made or tried

    @property
    def task(self) -> TaskReport | HostReport:
        """Where the verdict stands."""
        return self.report.tasks[0] if self.report.tasks else self.report


def judge(order: Order, work: Work, store: Store, steps: Steps, ranking: Ranking | None = None) -> Judged:
    """Look, plan, and ask the gate; changes nothing."""
    host = order.host
    work.progress.start(1, "probe")
    looked = remediation.diagnose(host, order.mount, order.tasks, work, ranking=ranking, tried=order.tried)
    work.progress.host(host.name, reporting.state_of_look(looked), looked.detail)
    work.progress.finish()
    _tell_look(looked, steps)
    seen = asked.seal({host.name: looked}, work)
    read = guards.read(store, asked.selected((host,)), seen.plan, work)
    # One full disk is no share of a fleet that a roll-out must not exceed.
    alone = {name: replace(one, fleet_share=0) for name, one in read.items()}
    judged = asked.judge(seen, work, alone, gate.REMEDIATE)
    within = {
        name: {id: autonomy.within(answer, order.autonomy, alone[name].approved) for id, answer in answers.items()}
        for name, answers in judged.decisions.items()
    }
    return replace(judged, decisions=within)


def heal(order: Order, holding: Holding, steps: Steps, ranking: Ranking | None = None) -> Healed:
    """Get a mount below its target and measure it afterwards; the caller holds the host, and has settled it."""
    work, store, host = holding.work, holding.store, order.host
    judged = judge(order, work, store, steps, ranking)
    changes = [change for plan in judged.seen.plan.hosts for change in plan.changes]
    if not changes:
        return Healed(report_of(host, judged), judged)
    notes = guards.ask_for_approval(store, judged, work)
    answers = judged.decisions[host.name].values()
    allowed = sum(answer.allowed for answer in answers)
    steps.take(
        EpisodeState.GATED, gate=dict(Counter("allowed" if one.allowed else one.reason.value for one in answers))
    )
    ledger = Ledger(holding, judged.seen.plan.digest, work.settings.guards)
    if allowed:
        judged = remediation.act(judged, work, ledger, Brakes(work, ledger))
    is_whole = allowed and not any(is_broken_off(one.reason) for one in judged.outcomes[host.name].values())
    if is_whole:
        made = Counter(outcome.state.value for outcome in judged.outcomes[host.name].values())
        steps.take(EpisodeState.ACTED, acted=dict(made))
    found = remediation.verdict(report_of(host, judged), measured(host, order.mount, work))
    if is_whole:
        (task,) = found.tasks
        ledger.teach(host, {TASK: effect([Outcome("", task.state, task.reason)])})
        verified(task, steps)
    return Healed(found, judged, tuple(notes), acted=bool(allowed))


def verified(task: TaskReport, steps: Steps) -> None:
    """Take the step that says what was measured afterwards."""
    facts = {key: task.facts[key] for key in ("after", "freed") if key in task.facts}
    verdict = {"state": task.state.value, "reason": task.reason.value, "detail": task.detail}
    steps.take(EpisodeState.VERIFIED, task.reason, task.detail, verdict=verdict, **facts)


def report_of(host: Host, judged: Judged) -> HostReport:
    """The host's part of the run's report."""
    return cycle.host_reports(asked.selected((host,)), judged)[0]


def measured(host: Host, mount: str, work: Work) -> Disk | RemoteError:
    """How full it is now; that it cannot be measured is a value."""
    try:
        return remediation.measure(host, mount, work)
    except RemoteError as error:
        return error


def settle(host: Host, holding: Holding) -> list[str]:
    """Find out on the host what became of changes that were begun and never recorded, and say it in words."""
    work, store = holding.work, holding.store
    unfinished = reconcile.unfinished(store, [host.name], work.now(), holding)
    if not unfinished:
        return []
    seen = cycle.look(
        [Selected(host, ())],
        work,
        configuration=work.settings.digest,
        refresh=guards.RefreshBook(store, work, wanted=False),
        machine_ids={},
        unfinished=reconcile.changes(unfinished),
        holding=holding,
    )
    return reconcile.settle(store, unfinished, seen, work)


def _tell_look(looked: Looked, steps: Steps) -> None:
    """The steps up to the plan: the measure, who uses the space, and what would be done about it."""
    if looked.plan is None:
        return
    (task,) = looked.plan.tasks
    disk = dict(task.facts.get("disk") or {})
    users = disk.pop("users", {})
    steps.take(EpisodeState.MEASURED, task.reason if not task.changes else Reason.NONE, task.detail, before=disk)
    if not disk or task.reason is Reason.TARGET_MET:
        return
    steps.take(EpisodeState.DIAGNOSED, users=users)
    plan = {key: task.facts.get(key) for key in ("need", "expected", "is_enough", "over_cap")}
    ways = Counter(str(change.effect.get("way", "")) for change in task.changes)
    steps.take(EpisodeState.PLANNED, task.reason, task.detail, plan={**plan, "ways": dict(ways)})
