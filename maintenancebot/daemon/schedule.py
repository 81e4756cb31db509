"""The schedule: APScheduler wakes, the store says what is due, and a slot is claimed before its run begins.

A job of the scheduler only wakes: what is due follows from the store and the time, at each look. So a clock that was
set, a machine that slept, a restart and a second daemon are all one case.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from maintenancebot.app.context import Context, new_run_id
from maintenancebot.model import Reason, State
from maintenancebot.policy import slots, windows
from maintenancebot.policy.slots import Fate
from maintenancebot.settings import Settings
from maintenancebot.store import Store
from maintenancebot.store.slots import Slot as Recorded

BUSY = "an earlier slot was still at work"

_log = logging.getLogger(__name__)


class Cron(BaseTrigger):  # type: ignore[misc]  # it has no types
    """Standard cron in a named zone; APScheduler's own has Monday for 0 and doubles a night of the autumn."""

    def __init__(self, expression: str, zone: str) -> None:
        self._expression, self._zone = expression, zone

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The next slot; those that passed meanwhile are found by the look that this one wakes."""
        after = now if previous is None else max(previous, now)
        found = windows.next_slots(self._expression, self._zone, after, 1)
        return datetime.fromtimestamp(found[0], UTC) if found else None


class Clockwork:
    """Wakes at every slot of every schedule."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        self._scheduler = BackgroundScheduler(timezone=UTC, executors={"default": ThreadPoolExecutor(1)})

    def start(self, settings: Settings) -> None:
        """Begin."""
        self._scheduler.start()
        self.set(settings)

    def set(self, settings: Settings) -> None:
        """Keep the schedules of these settings from now on, in place of all others."""
        self._scheduler.remove_all_jobs()
        for name, expression in slots.schedules(settings).items():
            trigger = Cron(expression, settings.timezone)
            once = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
            self._scheduler.add_job(self._wake, trigger, id=name, **once)

    def stop(self, _: float) -> None:
        """No further waking; a job is done at once, so nothing is waited for."""
        self._scheduler.shutdown(wait=False)


@dataclass(frozen=True)
class Claim:
    """A slot that is ours, with the id that its run has."""

    schedule: str
    slot: int
    run: str


class Timetable:
    """What is due is claimed and handed to `begin`; what was missed is recorded and told."""

    def __init__(self, store: Store, begin: Callable[[Claim], bool], is_at_work: Callable[[str], bool]) -> None:
        self._store, self._begin, self._is_at_work = store, begin, is_at_work
        self._rules: dict[str, str] = {}  # that the last look kept

    def look(self, context: Context, now: datetime) -> None:
        """Do what the schedules want by now; raises StoreError, and then nothing was begun that is not stored."""
        on = slots.schedules(context.settings)
        rules = {name: slots.rule(expression, context.settings.timezone) for name, expression in on.items()}
        if rules != self._rules:  # only then: another daemon may keep other schedules in this store
            self._store.slots.retire(on)
        self._take_up_abandoned(context, now)
        recorded = {name: last for name in on if (last := self._last(name, rules[name], now))}
        passed = slots.passed(context.settings, recorded, now)
        for name, rule in rules.items():
            self._settle(name, rule, [slot for slot in passed if slot.schedule == name], now)
        self._rules = rules

    def _last(self, name: str, rule: str, now: datetime) -> Recorded | None:
        """Of a rule that was kept already, its own last slot; at the first look, whatever was recorded last."""
        return self._store.slots.last(name, at=now, rule=rule if self._rules.get(name) == rule else None)

    def _settle(self, name: str, rule: str, passed: list[slots.Slot], now: datetime) -> None:
        missed = {slot.at: slot.detail for slot in passed if slot.fate is Fate.MISSED}
        for slot in passed:
            if slot.fate is Fate.PAST:
                self._store.slots.begin(name, slot.at, rule, at=now)
                _log.info("a schedule is on", extra={"action": "schedule_on", "schedule": name, "rule": rule})
            elif slot.fate is Fate.RUN and self._is_at_work(name):
                missed[slot.at] = BUSY
            elif slot.fate is Fate.RUN:
                self._claim(name, slot.at, rule, now)
        if missed:
            new = self._store.slots.miss(name, missed, rule, at=now)
            for at in new[-1:]:
                facts = {"schedule": name, "slots": len(new), "latest": _told(at), "detail": missed[at]}
                _log.warning("slots were missed", extra={"action": "slot_missed", **facts})

    def _claim(self, name: str, slot: int, rule: str, now: datetime) -> None:
        run = new_run_id(now)
        if self._store.slots.claim(name, slot, rule, run, at=now):
            _log.info(
                "a slot is due", extra={"action": "slot_claimed", "schedule": name, "slot": _told(slot), "run": run}
            )
            self._begin(Claim(name, slot, run))

    def _take_up_abandoned(self, context: Context, now: datetime) -> None:
        """A slot whose process ended before its run began is begun, if it still may; any other is ended as it is."""
        for slot in self._store.slots.abandoned(at=now):
            if self._store.slots.take_over(slot, at=now):
                ended = self._end_of(slot, context, now)
                if ended is None:
                    self._begin(Claim(slot.schedule, slot.slot, slot.run))
                    continue
                self._store.slots.finish(slot.schedule, slot.slot, *ended, at=now)
                facts = {"schedule": slot.schedule, "slot": _told(slot.slot), "run": slot.run, "detail": ended[2]}
                _log.warning("a slot was left unfinished", extra={"action": "slot_unfinished", **facts})

    def _end_of(self, slot: Recorded, context: Context, now: datetime) -> tuple[State, Reason, str] | None:
        """How an abandoned slot ended; None when nothing of it began and it may still begin."""
        if self._store.runs.get(slot.run) is not None:
            return State.UNKNOWN, Reason.UNFINISHED, "its process ended in the middle; hosts are asked"
        if self._is_at_work(slot.schedule):
            return State.SKIPPED, Reason.MISSED, BUSY
        if slot.schedule not in slots.schedules(context.settings):
            return State.SKIPPED, Reason.MISSED, "its schedule is off"
        late = slots.objection(slot.schedule, context.settings, datetime.fromtimestamp(slot.slot, UTC), now)
        return (State.SKIPPED, Reason.MISSED, late) if late else None


def _told(slot: int) -> str:
    return datetime.fromtimestamp(slot, UTC).isoformat()
