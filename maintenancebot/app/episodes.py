"""Alerts become episodes, and episodes are worked on: what was stored says how to go on after any restart."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

from maintenancebot.app import llm, messages
from maintenancebot.app.context import Context, new_run_id, now
from maintenancebot.app.ending import finish, report
from maintenancebot.app.healing import HEALINGS, Healing, Piece
from maintenancebot.engine import episodes, tellings
from maintenancebot.engine.episodes import Healed, StoredSteps
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.progress import Progress
from maintenancebot.errors import BusyError
from maintenancebot.model import Autonomy, Host, Reason, State
from maintenancebot.policy import alerts
from maintenancebot.policy.alerts import Surroundings
from maintenancebot.policy.approvals import Approval, ApprovalState
from maintenancebot.policy.episodes import Alert, Episode, EpisodeState, Verdict, conclusion, is_broken_off
from maintenancebot.store import Store

AT_ONCE = 100
"""Alerts that are settled in one transaction: nobody who stores new ones waits for long."""

KEEP_ALERTS = timedelta(days=30)
MOST_RUNS = 10
"""Times that an episode is taken up, whatever broke it off: a fault of ours must not be repeated for ever."""

WAIT_SECONDS = 5.0
"""For a host that somebody else works on; after that others have their turn first."""

COMMAND = "episode"
"""With its rule behind it, the command of the runs that work on an episode."""

_log = logging.getLogger(__name__)


def take_up(context: Context, store: Store, at: datetime) -> list[str]:
    """Settle every alert that waits, and return the episodes to be worked on: new, approved, put off, or left behind.

    One that is at work is among them: the caller knows. Raises StoreError; what was not settled waits for the next.
    """
    wanted = [episode.id for episode in store.episodes.open() if _is_due(episode, store, at)]
    around = Surroundings(context.settings, context.inventory.hosts, at)

    def judge(waiting: Sequence[Alert], history: Sequence[Episode]) -> list[Verdict]:
        return alerts.judge(waiting, history, around)

    cooldown = timedelta(minutes=context.settings.remediation.alerts.cooldown_minutes)
    since = at - max(alerts.DAY, cooldown)
    is_quiet = True
    while verdicts := store.episodes.take_up(AT_ONCE, judge, tellings.of_opened, since=since, at=at):
        wanted += [one.opens.id for one in verdicts if one.opens is not None and not one.opens.is_over]
        is_quiet = False
        for one in verdicts:
            facts = {"alert": one.alert, "host": one.host, "reason": one.reason.value, "episode": one.episode}
            _log.info("an alert is settled", extra={"action": "alert_settled", **facts})
    if is_quiet:  # not while they storm in
        store.alerts.forget(at - KEEP_ALERTS)
    messages.note(context, store)
    return wanted


def resume(context: Context, store: Store) -> list[str]:
    """After a start: the episodes that were under way when the last process ended."""
    return [episode.id for episode in store.episodes.open() if not episode.is_waiting]


def work_on(context: Context, store: Store, episode_id: str, *, progress: Progress, stop: threading.Event) -> None:
    """Work on an episode from where it is until it is over, waits for a person, or a stop; raises StoreError."""
    episode = store.episodes.get(episode_id)
    host = next((host for host in context.inventory.hosts if host.name == episode.host), None)
    with context.connections() as connections:
        work = context.work(new_run_id(now()), connections, progress, stop, store)
        steps = StoredSteps(episode, store, work)
        if host is None:
            if not episode.is_over:
                _escalate(steps, Reason.UNKNOWN_HOST, "the inventory does not have this host any more")
            return
        if episode.is_waiting and not _was_approved(steps, store, work.now()):
            return  # a no ends it, whoever has the host
        holding = Holding(store, work)
        try:
            with holding.host(host.name, f"{COMMAND} {episode.rule} {episode.subject}", wait=WAIT_SECONDS):
                _with_the_host(context, holding, host, steps)
        except BusyError as error:
            _put_off(steps, store, str(error), context, stop)
    messages.note(context, store)


def _with_the_host(context: Context, holding: Holding, host: Host, steps: StoredSteps) -> None:
    """The next run of an episode; how far it was when it was stored decides what is left to do."""
    store, work = holding.store, holding.work
    steps.episode = store.episodes.get(steps.episode.id)  # another may have gone on while we waited
    if steps.episode.is_over or (steps.episode.is_waiting and not _was_approved(steps, store, work.now())):
        return
    if len(steps.episode.body.get("runs", ())) >= MOST_RUNS:
        _escalate(steps, Reason.UNFINISHED, f"it was broken off {MOST_RUNS} times; see the log")
        return
    started, before = now(), steps.episode
    command = f"{COMMAND} {before.rule}"
    store.runs.start(work.run_id, command, context.settings.digest, at=started)
    steps.begin()
    notes = episodes.settle(host, holding)  # first: what was never begun was not tried
    runs = steps.episode.body.get("runs", ())
    piece = Piece(context, holding, host, steps, frozenset(store.episodes.touched(runs)))
    healing = HEALINGS[before.rule](piece)
    healed = healing.heal(before)
    told = report(command, work, started, (healed.report,), (*notes, *healed.notes))
    finish(told, healed.judged, work, store)
    _conclude(piece, healing, healed)


def _conclude(piece: Piece, healing: Healing, healed: Healed) -> None:
    """The last step: over, a person's, or waiting for a person's word."""
    steps, verdict = piece.steps, healed.task
    well = verdict.state in (State.DONE, State.NOTHING)
    if not well and (is_broken_off(verdict.reason) or piece.holding.work.stop.is_set()):
        return  # the next start goes on with it
    acted = healed.acted or bool(piece.tried)
    state, reason = conclusion(verdict.state, verdict.reason, acted=acted)
    if state is EpisodeState.GATED:
        _wait(piece, healed, reason)
    elif state is EpisodeState.ESCALATED:
        measured = tellings.escalated(steps.episode, reason, verdict.detail, healed.report, healing.samples())
        steps.end(state, reason, verdict.detail, llm.diagnosed(piece.context, piece.holding.store, measured))
    else:
        tell = acted and healing.autonomy is Autonomy.NOTIFY and reason is Reason.VERIFIED
        telling = tellings.healed(steps.episode, verdict.detail, healed.report) if tell else None
        steps.end(EpisodeState.CLOSED, reason, verdict.detail, telling)


def _escalate(steps: StoredSteps, reason: Reason, detail: str) -> None:
    """Give it to a person where nothing was measured that could be told."""
    steps.end(EpisodeState.ESCALATED, reason, detail, tellings.escalated(steps.episode, reason, detail, None, ()))


def _wait(piece: Piece, healed: Healed, reason: Reason) -> None:
    """Keep the digest of the plan that waits, and tell a person of it."""
    answers = healed.judged.decisions[piece.host.name].values()
    waiting = {answer.change_id for answer in answers if answer.state is State.WAITING}
    asked = piece.holding.store.approvals.latest()
    digest = next((one.digest for one in asked if set(one.changes) == waiting), "")
    steps, detail = piece.steps, healed.task.detail
    steps.take(EpisodeState.GATED, reason, detail, approval=digest)
    steps.end(EpisodeState.GATED, reason, detail, tellings.approval(steps.episode, digest, healed.notes))


def _is_due(episode: Episode, store: Store, at: datetime) -> bool:
    """Whether an open episode is to be worked on, if nobody does."""
    if not episode.is_waiting:
        return True
    asked = _approval(episode, store)
    return asked is None or asked.state is not ApprovalState.PENDING or asked.expires_at <= at


def _was_approved(steps: StoredSteps, store: Store, at: datetime) -> bool:
    """Whether a waiting episode may go on; where the word was no, or never came, it ends here."""
    asked = _approval(steps.episode, store)
    if asked is not None and asked.state is ApprovalState.DENIED:
        steps.end(EpisodeState.CLOSED, Reason.NEEDS_APPROVAL, f"denied by {asked.decided_by}", None)
    elif asked is None or asked.expires_at <= at:
        _escalate(steps, Reason.NEEDS_APPROVAL, "nobody approved it in time")
    return asked is not None and asked.state is ApprovalState.APPROVED and asked.expires_at > at


def _approval(episode: Episode, store: Store) -> Approval | None:
    return store.approvals.get(episode.body.get("approval", ""))


def _put_off(steps: StoredSteps, store: Store, detail: str, context: Context, stop: threading.Event) -> None:
    """Somebody else has the host: later, but not for ever."""
    episode = steps.episode
    if stop.is_set() or episode.is_over or episode.is_waiting:
        return  # what was approved is tried again until that expires
    if store.episodes.get(episode.id).changed_at != episode.changed_at:
        return  # who has the host is at work on this very episode
    minutes = context.settings.remediation.alerts.max_age_minutes
    if episode.reason is not Reason.BUSY:
        steps.take(episode.state, Reason.BUSY, detail)
    elif now() - episode.changed_at > timedelta(minutes=minutes):
        _escalate(steps, Reason.BUSY, detail)
