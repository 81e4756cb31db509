"""What the daemon does once its state is open: keeps the schedule, takes alerts, works on episodes, looks things up.

Everything here follows from the store at each look, so that nothing is lost with the process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from starlette.routing import Route

from maintenancebot import app
from maintenancebot.app import episodes, messages
from maintenancebot.app.context import Context, now
from maintenancebot.app.targets import missing
from maintenancebot.daemon import health, metrics, webhook
from maintenancebot.daemon.cleanups import Cleanups
from maintenancebot.daemon.dead_man import DeadMan
from maintenancebot.daemon.intake import Intake
from maintenancebot.daemon.logs import about
from maintenancebot.daemon.pulses import Pulse
from maintenancebot.daemon.schedule import Claim, Clockwork, Timetable
from maintenancebot.daemon.slack import Buttons
from maintenancebot.daemon.troubles import Troubles
from maintenancebot.daemon.vitals import SCHEDULE, Vitals
from maintenancebot.daemon.workers import Piece, Workers
from maintenancebot.engine import results
from maintenancebot.engine.progress import Progress
from maintenancebot.errors import BusyError, MaintenanceError, StoreError
from maintenancebot.model import Reason, Report, State, TaskType
from maintenancebot.policy import slots, windows
from maintenancebot.settings import Settings
from maintenancebot.store import Store

TICK_SECONDS = 30.0
LOOK_UP_SECONDS = 600.0
"""How often hosts are asked what became of changes that are still open."""
BUSY_SECONDS = 5.0
RESERVE_SECONDS = 10.0
"""Of the time for stopping, kept for what comes after the work has ended."""
SLACK_SECONDS = 1800.0
"""On top of what the deadlines of one host allow: a reboot, health checks, waiting for another's lease."""

DELIVER_SECONDS = 20.0
"""How long a look at the messages waits for those that are on their way; the next look does not send them again."""
TARGETS = ("log", "slack", "email", "webhook")
"""Everybody whom messages may go to."""

LOOK_UP = "look-up"
ALERTS = "alerts"
MESSAGES = "messages"

Ended = tuple[State, Reason, str]

_log = logging.getLogger(__name__)


class Duties:
    """All work on an open store; `context` is asked anew for each piece, so that a reload holds from then on."""

    def __init__(
        self,
        context: Callable[[], Context],
        ask_sources: Callable[[], None],
        store: Store,
        vitals: Vitals,
        troubles: Troubles,
    ) -> None:
        self._context, self._ask_sources, self._store, self._vitals = context, ask_sources, store, vitals
        self._stop = threading.Event()
        self._runs = Workers("runs", lambda: 1, vitals)
        self._episodes = Workers("episodes", lambda: context().settings.remediation.alerts.parallel, vitals)
        self._intake = Intake(store, vitals)
        self._summaries = Workers("summaries", lambda: 1, vitals)
        self._timetable = Timetable(store, self._begin, lambda name: self._workers(name).has(name))
        self._schedule = Pulse(SCHEDULE, self._tick, TICK_SECONDS, troubles)
        self._alerts = Pulse(ALERTS, self._take_up, TICK_SECONDS, troubles)
        self._messages = Pulse(MESSAGES, self._deliver, TICK_SECONDS, troubles)
        self._buttons = Buttons(context, store, vitals, self._alerts.wake)
        self._troubles = troubles
        self._clockwork = Clockwork(self._schedule.wake)
        self._dead_man = DeadMan(lambda: context().settings.http.dead_man_url)
        self._ready = health.kept(lambda: [*health.causes(context(), store, vitals, now()), _looks(troubles)])
        self._unstored: list[tuple[Claim, Ended]] = []
        self._ends = threading.Lock()
        self._next_look_up = 0.0
        self._is_resumed = False
        self._tidied: Context | None = None

    def start(self, cleanups: Cleanups) -> None:
        """Begin; the webhook is taken in only where it is guarded by a token or by certificates."""
        self._intake.wake = self._alerts.wake
        if health.is_guarded(self._context()):
            self._intake.start()
            cleanups.add("intake", self._intake.stop)
        else:
            _log.warning(
                "the webhook is closed: the secret `webhook_token` is missing", extra={"action": "webhook_closed"}
            )
        self._messages.start()
        cleanups.add(MESSAGES, self._messages.stop)
        cleanups.add("buttons", self._buttons.stop)
        cleanups.add("episodes", lambda left: self._episodes.stop(max(0.0, left - RESERVE_SECONDS)))
        cleanups.add("summaries", lambda left: self._summaries.stop(max(0.0, left - RESERVE_SECONDS)))
        cleanups.add("runs", lambda left: self._runs.stop(max(0.0, left - RESERVE_SECONDS)))
        self._schedule.start()
        cleanups.add("schedule", self._schedule.stop)
        self._alerts.start()
        cleanups.add("alerts", self._alerts.stop)
        self._clockwork.start(self._context().settings)
        cleanups.add("clockwork", self._clockwork.stop)
        cleanups.add("new work", self._halt)

    def routes(self) -> list[Route]:
        """Everything that is served."""
        context, store, vitals = self._context, self._store, self._vitals
        known = context()
        taken = webhook.routes(self._intake, lambda: context().settings, known.secrets)
        return [
            *health.routes(
                self._ready, lambda: health.status(context(), store, vitals, now()), health.permission(context)
            ),
            metrics.route(store, vitals, context, self._ready),
            *(taken if health.is_guarded(known) else []),
            *self._buttons.routes(),
        ]

    def reloaded(self) -> None:
        """The configuration is another one."""
        self._clockwork.set(self._context().settings)
        self._schedule.wake()
        self._alerts.wake()
        self._messages.wake()

    def _halt(self, _: float) -> None:
        """Nothing new begins, and what is at work ends after the change in hand."""
        self._stop.set()
        self._runs.close()
        self._summaries.close()
        self._episodes.close()

    def _tick(self) -> None:
        self._vitals.beat(SCHEDULE)
        context, at = self._context(), now()
        self._runs.go_on()
        self._summaries.go_on()
        self._episodes.go_on()
        self._store_ends()
        self._look_up(context)
        self._timetable.look(context, at)
        if self._tidied is not context:  # the inventory may be another one
            results.forget_others([host.name for host in context.inventory.hosts], self._store, at)
            self._tidied = context
        today = at.astimezone(windows.zone(context.settings.timezone)).date()
        self._dead_man.each_day(today, is_well=lambda: all(cause.ok for cause in self._ready()))

    def _take_up(self) -> None:
        context = self._context()
        if not self._is_resumed:
            self._work_on(episodes.resume(context, self._store), context)
            self._is_resumed = True
        self._work_on(episodes.take_up(context, self._store, now()), context)
        if self._store.messages.waiting(1):
            self._messages.wake()

    def _deliver(self) -> None:
        """Tell people what is to be told; a target that cannot be told is a trouble, and holds up nothing else."""
        context = self._context()
        held = messages.deliver(context, self._store, seconds=DELIVER_SECONDS, logs=True)
        for target in TARGETS:
            self._troubles.set(f"messages to {target}", held.get(target, ""))
        self._troubles.set("targets", missing(context))

    def _work_on(self, ids: list[str], context: Context) -> None:
        for one in ids:
            self._episodes.submit(Piece(f"episode {one}", patience(context.settings), partial(self._episode, one)))

    def _episode(self, episode: str, progress: Progress) -> None:
        with about(episode=episode):
            episodes.work_on(self._context(), self._store, episode, progress=progress, stop=self._stop)
        self._alerts.wake()
        self._messages.wake()

    def _look_up(self, context: Context) -> None:
        """Ask the hosts about changes without an outcome: at the start, and while there are any."""
        if time.monotonic() < self._next_look_up or not self._runs.is_idle():
            return
        if self._store.intents.unfinished():
            self._runs.submit(Piece(LOOK_UP, patience(context.settings), self._settle))
        self._next_look_up = time.monotonic() + LOOK_UP_SECONDS

    def _settle(self, progress: Progress) -> None:
        try:
            notes = app.settle_in(self._context(), self._store, progress=progress, stop=self._stop)
        except BusyError:  # a run is at work: it looks by itself
            return
        for note in notes:
            _log.warning("an unfinished change was looked up", extra={"action": "looked_up", "detail": note})

    def _begin(self, claim: Claim) -> bool:
        waits = patience(self._context().settings)
        return self._workers(claim.schedule).submit(Piece(claim.schedule, waits, partial(self._run, claim)))

    def _workers(self, schedule: str) -> Workers:
        """A summary waits for no run."""
        return self._summaries if schedule == slots.SUMMARY else self._runs

    def _run(self, claim: Claim, progress: Progress) -> None:
        with about(run=claim.run, schedule=claim.schedule):
            _log.info("a slot's run begins", extra={"action": "slot_begun"})
            ended: Ended = State.FAILED, Reason.INTERNAL_ERROR, "a fault of ours, see the log"
            try:
                ended = self._posted(claim) if claim.schedule == slots.SUMMARY else self._outcome(claim, progress)
            finally:
                self._end(claim, ended)
                facts = {"state": ended[0].value, "reason": ended[1].value, "detail": ended[2]}
                _log.info("a slot's run ended", extra={"action": "slot_finished", **facts})
                self._schedule.wake()  # for what waited meanwhile
                self._messages.wake()
            went_well = ended[0] not in (State.FAILED, State.UNKNOWN) and ended[1] is Reason.NONE  # not busy, not ended
            if claim.schedule == slots.CYCLE and went_well:
                self._dead_man.after_cycle()

    def _outcome(self, claim: Claim, progress: Progress) -> Ended:
        """The run of a slot; while somebody else's run is at work it waits, as long as the slot may be begun."""
        self._ask_sources()
        context, due = self._context(), datetime.fromtimestamp(claim.slot, UTC)
        while True:
            try:
                report = self._report(claim, context, progress)
            except BusyError as error:
                progress.host("", None, f"waits for its turn: {error}")
                if self._stop.wait(BUSY_SECONDS):
                    return State.SKIPPED, Reason.INTERRUPTED, str(error)
                if slots.objection(claim.schedule, context.settings, due, now()):
                    return State.SKIPPED, Reason.BUSY, str(error)
            except StoreError as error:
                return State.FAILED, Reason.AUDIT_UNWRITABLE, str(error)
            except MaintenanceError as error:
                return State.FAILED, Reason.INTERNAL_ERROR, str(error)
            else:
                return report.state, Reason.INTERRUPTED if self._stop.is_set() else Reason.NONE, ""

    def _posted(self, claim: Claim) -> Ended:
        """The summary that a slot is for; the week's state is the summary's own matter."""
        try:
            is_new = app.post_in(self._context(), self._store, datetime.fromtimestamp(claim.slot, UTC))
        except StoreError as error:
            return State.FAILED, Reason.AUDIT_UNWRITABLE, str(error)
        return (State.DONE, Reason.NONE, "") if is_new else (State.NOTHING, Reason.NONE, "it was posted before")

    def _report(self, claim: Claim, context: Context, progress: Progress) -> Report:
        store, stop = self._store, self._stop
        if claim.schedule == slots.PURGE:
            return app.purge_in(context, store, progress=progress, stop=stop, run_id=claim.run)
        tasks = _watching(context.settings) if claim.schedule == slots.CERTIFICATES else ()
        return app.run_in(context, store, tasks=tasks, progress=progress, stop=stop, run_id=claim.run)

    def _end(self, claim: Claim, ended: Ended) -> None:
        """Store how a slot's run ended; where that fails, each tick tries again."""
        with self._ends:
            self._unstored.append((claim, ended))
        with suppress(StoreError):
            self._store_ends()

    def _store_ends(self) -> None:
        with self._ends:
            while self._unstored:
                claim, (state, reason, detail) = self._unstored[0]
                self._store.slots.finish(claim.schedule, claim.slot, state, reason, detail, at=now())
                self._unstored.pop(0)


def patience(settings: Settings) -> float:
    """How long a piece may be silent: as long as one host may take for its longest step."""
    ssh = settings.ssh
    return ssh.connect_timeout + ssh.login_timeout + max(ssh.probe_deadline, ssh.apply_deadline) + SLACK_SECONDS


def _looks(troubles: Troubles) -> health.Cause:
    """Who lives, but fails at each look at what is due, does not do its job."""
    failing = {name: words for name, words in troubles.known().items() if name in (SCHEDULE, ALERTS)}
    return health.Cause("looks", not failing, "; ".join(f"{name}: {words}" for name, words in failing.items()))


def _watching(settings: Settings) -> tuple[str, ...]:
    return tuple(task.name for task in settings.tasks if task.type is TaskType.MONITOR)
