"""The timetable over a real store: each slot once, whatever happened to clocks, processes and the disk."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import time_machine

from maintenancebot.app.context import Context
from maintenancebot.daemon.schedule import Claim, Clockwork, Cron, Timetable
from maintenancebot.errors import StoreError
from maintenancebot.inventory import Inventory
from maintenancebot.model import Reason, State
from maintenancebot.policy import slots, windows
from maintenancebot.settings import Settings
from maintenancebot.store import Store

TASK = {"name": "patches", "type": "package_update", "scope": "all"}
SUNDAY = datetime(2026, 11, 22, 3, tzinfo=UTC)
WEEK = timedelta(days=7)


def context(schedule: str | None = "0 3 * * 0", zone: str = "UTC", **more: object) -> Context:
    base = {"schedule": schedule, "timezone": zone, "schedules": {"purge": None, "summary": None}, "tasks": [TASK]}
    return Context(Settings.model_validate({**base, **more}), Inventory(()), Path("/nowhere"))


@dataclass
class Bench:
    """A timetable, and what it handed on."""

    store: Store
    at_work: set[str] = field(default_factory=set)
    begun: list[Claim] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timetable = Timetable(self.store, self._begin, self.at_work.__contains__)

    def _begin(self, claim: Claim) -> bool:
        self.begun.append(claim)
        return True

    def look(self, now: datetime, given: Context | None = None) -> None:
        self.timetable.look(given or context(), now)

    def hours(self, zone: str = "UTC") -> list[str]:
        return [f"{datetime.fromtimestamp(claim.slot, ZoneInfo(zone)):%a %d %H:%M}" for claim in self.begun]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Store.open(tmp_path / "state", create=True) as store:
        yield Bench(store)


def recorded(bench: Bench) -> list[tuple[datetime, State | None, Reason | None]]:
    rows = reversed(bench.store.slots.recent(100))
    return [(datetime.fromtimestamp(row.slot, UTC), row.state, row.reason) for row in rows]


def test_a_slot_is_claimed_on_disk_before_it_is_begun(bench: Bench) -> None:
    bench.look(SUNDAY - timedelta(hours=1))
    seen = []
    bench.timetable = Timetable(
        bench.store, lambda claim: bool(seen.append((claim, bench.store.slots.recent(1)[0]))), lambda name: False
    )
    bench.look(SUNDAY)
    ((claim, row),) = seen
    assert (row.schedule, row.slot, row.run, row.finished_at) == ("cycle", claim.slot, claim.run, None)
    bench.look(SUNDAY + timedelta(seconds=30))
    assert len(seen) == 1


def test_a_schedule_that_is_new_begins_with_its_next_slot(bench: Bench) -> None:
    bench.look(SUNDAY + timedelta(minutes=1))
    assert (bench.begun, recorded(bench)) == ([], [(SUNDAY, State.NOTHING, Reason.NONE)])
    bench.look(SUNDAY + WEEK)
    assert bench.hours() == ["Sun 29 03:00"]


def test_what_was_missed_is_recorded_told_once_and_not_run(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.look(SUNDAY)
    with caplog.at_level(logging.WARNING):
        for minutes in (0, 1):
            bench.look(SUNDAY + 2 * WEEK + timedelta(days=1, minutes=minutes))
    assert bench.begun == []
    missed = (State.SKIPPED, Reason.MISSED)
    assert sorted(recorded(bench))[1:] == [(SUNDAY + WEEK, *missed), (SUNDAY + 2 * WEEK, *missed)]
    (told,) = caplog.records
    assert (told.__dict__["action"], told.__dict__["slots"]) == ("slot_missed", 2)


def test_a_slot_that_comes_while_an_earlier_one_is_at_work_is_missed(bench: Bench) -> None:
    bench.look(SUNDAY - timedelta(hours=1))
    bench.at_work.add("cycle")
    bench.look(SUNDAY)
    assert bench.begun == []
    assert bench.store.slots.recent(1)[0].detail == "an earlier slot was still at work"


def test_another_expression_is_taken_from_the_next_slot_on(bench: Bench) -> None:
    bench.look(SUNDAY)
    earlier = context("0 2 * * 0")
    bench.look(SUNDAY + timedelta(days=2), earlier)
    bench.look(SUNDAY + WEEK - timedelta(hours=1), earlier)
    bench.look(SUNDAY + WEEK, earlier)
    assert bench.hours() == ["Sun 29 02:00"]


def test_a_schedule_that_was_off_for_a_while_has_missed_nothing(bench: Bench) -> None:
    bench.look(SUNDAY)
    bench.look(SUNDAY + timedelta(days=1), context(None))
    bench.look(SUNDAY + 5 * WEEK + timedelta(days=1))
    assert Reason.MISSED not in [reason for _, _, reason in recorded(bench)]
    bench.look(SUNDAY + 6 * WEEK)
    assert len(bench.begun) == 1


def test_two_daemons_with_other_schedules_keep_each_its_own(bench: Bench) -> None:
    other, given = Bench(bench.store), context("0 4 * * *", schedules={"purge": "30 4 * * *", "summary": None})
    for hour in range(72):
        for minutes in (0, 1, 30):
            bench.look(SUNDAY + timedelta(hours=hour, minutes=minutes), context("0 3 * * *"))
            other.look(SUNDAY + timedelta(hours=hour, minutes=minutes), given)
    assert bench.hours() == ["Mon 23 03:00", "Tue 24 03:00"]
    assert sorted(other.hours()) == [
        f"{day} 04:{minute}" for day in ("Mon 23", "Sun 22", "Tue 24") for minute in ("00", "30")
    ]
    assert Reason.MISSED not in {reason for _, _, reason in recorded(bench)}
    assert bench.store.audit.verify().rows < 40


def test_a_state_that_cannot_be_written_begins_nothing_and_recovers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.look(SUNDAY - timedelta(hours=1))

    def full(*_: object, **__: object) -> bool:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(bench.store.slots, "claim", full)
        with pytest.raises(StoreError):
            bench.look(SUNDAY)
    assert bench.begun == []
    bench.look(SUNDAY + timedelta(minutes=20))
    assert bench.hours() == ["Sun 22 03:00"]


# What ended processes left


CLAIMING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from maintenancebot.store import Store
store = Store.open(Path(sys.argv[1]), create=True)
at = datetime.fromtimestamp(float(sys.argv[2]), UTC)
store.slots.claim("cycle", int(sys.argv[2]), "0 3 * * 0 UTC", "run-1", at=at)
if sys.argv[3] == "begun":
    store.runs.start("run-1", "run", "0" * 64, at=at)
"""


def left_by_another(bench: Bench, tmp_path: Path, how: str) -> None:
    bench.look(SUNDAY - timedelta(hours=1))
    words = [str(tmp_path / "state"), str(int(SUNDAY.timestamp())), how]
    subprocess.run([sys.executable, "-c", CLAIMING, *words], check=True, timeout=60)


def test_a_restart_between_claim_and_run_runs_the_slot_once(bench: Bench, tmp_path: Path) -> None:
    left_by_another(bench, tmp_path, "claimed")
    for minutes in (3, 4):
        bench.look(SUNDAY + timedelta(minutes=minutes))
    assert bench.begun == [Claim("cycle", int(SUNDAY.timestamp()), "run-1")]


def test_a_claim_that_is_found_too_late_is_missed(bench: Bench, tmp_path: Path) -> None:
    left_by_another(bench, tmp_path, "claimed")
    bench.look(SUNDAY + timedelta(hours=2))
    assert bench.begun == []
    assert recorded(bench)[-1] == (SUNDAY, State.SKIPPED, Reason.MISSED)


def test_a_run_that_had_begun_is_not_begun_again(bench: Bench, tmp_path: Path) -> None:
    left_by_another(bench, tmp_path, "begun")
    for minutes in (3, 4):
        bench.look(SUNDAY + timedelta(minutes=minutes))
    assert bench.begun == []
    assert recorded(bench)[-1] == (SUNDAY, State.UNKNOWN, Reason.UNFINISHED)


LOOKING = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from maintenancebot.app.context import Context
from maintenancebot.daemon.schedule import Timetable
from maintenancebot.inventory import Inventory
from maintenancebot.model import State
from maintenancebot.settings import Settings
from maintenancebot.store import Store
task = {"name": "patches", "type": "package_update", "scope": "all"}
settings = {"schedule": "*/5 * * * *", "schedules": {"purge": "0 * * * *", "summary": None}, "tasks": [task]}
context = Context(Settings.model_validate(settings), Inventory(()), Path("/nowhere"))
with Store.open(Path(sys.argv[1]), create=True) as store:
    def begin(claim):
        print(claim.schedule, claim.slot, flush=True)
        store.slots.finish(claim.schedule, claim.slot, State.DONE, at=now)
        return True
    timetable = Timetable(store, begin, lambda name: False)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    while now < datetime(2026, 11, 22, 12, tzinfo=UTC):
        timetable.look(context, now)
        now += timedelta(seconds=float(sys.argv[2]))
"""


def test_two_daemons_on_one_store_run_each_slot_once(tmp_path: Path) -> None:
    Store.open(tmp_path / "state", create=True).close()
    words = [sys.executable, "-c", LOOKING, str(tmp_path / "state")]
    both = [subprocess.Popen([*words, step], stdout=subprocess.PIPE, text=True) for step in ("100", "99")]
    run = Counter(line for one in both for line in one.communicate(timeout=300)[0].splitlines())
    assert set(run.values()) == {1}
    hours = Counter(line.split()[0] for line in run)
    with Store.open(tmp_path / "state", create=False) as store:
        # A daemon that looks ahead of the other one's clock may leave it nothing but what is recorded.
        missed = Counter(row.schedule for row in store.slots.recent(1000) if row.reason is Reason.MISSED)
    assert hours["cycle"] + missed["cycle"] == 12 * 12 - 1
    assert hours["purge"] + missed["purge"] == 11


# The ticker


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
def test_the_trigger_fires_at_the_slots_of_the_policy(zone: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    expected = windows.next_slots("30 2 * * *", zone, start, 365)
    trigger, fired = Cron("30 2 * * *", zone), []
    moment = trigger.get_next_fire_time(None, start)
    while len(fired) < 365:
        assert moment is not None
        fired.append(int(moment.timestamp()))
        moment = trigger.get_next_fire_time(moment, moment)
    assert tuple(fired) == expected


def test_the_trigger_jumps_over_what_passed_meanwhile() -> None:
    trigger = Cron("* * * * *", "UTC")
    following = trigger.get_next_fire_time(SUNDAY, SUNDAY + timedelta(days=400, seconds=1))
    assert following == SUNDAY + timedelta(days=400, minutes=1)


def test_the_clockwork_wakes_at_each_slot_and_follows_a_reload() -> None:
    woken = threading.Event()
    clockwork = Clockwork(woken.set)
    with time_machine.travel(SUNDAY - timedelta(seconds=0.3), tick=True):
        clockwork.start(context("30 5 * * *").settings)
        clockwork.set(context().settings)
        assert woken.wait(10)
    clockwork.stop(0)


# A year and more of slots


def test_a_year_of_slots_over_a_real_store_has_one_run_each(bench: Bench) -> None:
    given = context("30 2 * * *", "Australia/Lord_Howe")
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    expected = windows.next_slots("30 2 * * *", "Australia/Lord_Howe", start, 365)
    for moment in (start, *(datetime.fromtimestamp(slot + 20, UTC) for slot in expected)):
        bench.look(moment, given)
    assert [claim.slot for claim in bench.begun] == list(expected)
    assert slots.CYCLE in {claim.schedule for claim in bench.begun}
