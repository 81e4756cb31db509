"""The summary's slot in the daemon: on time, once, beside whatever else is at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pytest

from maintenancebot import app
from maintenancebot.app.context import Context
from maintenancebot.daemon.duties import Duties
from maintenancebot.daemon.schedule import Claim
from maintenancebot.daemon.troubles import Troubles
from maintenancebot.daemon.vitals import Vitals
from maintenancebot.daemon.workers import Piece
from maintenancebot.engine.progress import Silent
from maintenancebot.errors import StoreError
from maintenancebot.model import Reason, State
from maintenancebot.policy import slots
from maintenancebot.store import Store
from tests.lab.tools import wait_until
from tests.unit.places import Place
from tests.unit.weeks import Fleet

DUE = int(datetime(2026, 11, 23, 7, tzinfo=UTC).timestamp())


@pytest.fixture
def fleet(place: Place) -> Iterator[Fleet]:
    with Store.open(place.state_dir, create=True) as store:
        yield Fleet(place, store)


@pytest.fixture
def duties(fleet: Fleet) -> Duties:
    given = fleet.context("web-1")
    return Duties(lambda: given, lambda: None, fleet.store, Vitals(), Troubles())


def claim(fleet: Fleet) -> Claim:
    at = datetime.fromtimestamp(DUE, UTC)
    fleet.store.slots.claim(slots.SUMMARY, DUE, "0 8 * * 1 UTC", "run-1", at=at)
    return Claim(slots.SUMMARY, DUE, "run-1")


def ended(fleet: Fleet) -> tuple[State | None, Reason | None, str]:
    (slot,) = fleet.store.slots.recent(1)
    return slot.state, slot.reason, slot.detail


def test_a_slot_posts_the_week_that_has_ended(fleet: Fleet, duties: Duties) -> None:
    duties._run(claim(fleet), Silent())
    assert ended(fleet) == (State.DONE, Reason.NONE, "")
    (message,) = fleet.store.messages.latest("summary")
    assert message.key == "summary:2026-W47"


def test_a_slot_that_is_begun_again_after_a_restart_posts_nothing_twice(fleet: Fleet, duties: Duties) -> None:
    mine = claim(fleet)
    duties._run(mine, Silent())
    duties._run(mine, Silent())
    assert ended(fleet) == (State.NOTHING, Reason.NONE, "it was posted before")
    assert len(fleet.store.messages.latest("summary")) == 1


def test_a_state_that_fails_is_told(fleet: Fleet, duties: Duties, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(context: Context, store: Store, due: datetime) -> bool:
        raise StoreError("the disk is full")

    monkeypatch.setattr(app, "post_in", fail)
    duties._run(claim(fleet), Silent())
    assert ended(fleet) == (State.FAILED, Reason.AUDIT_UNWRITABLE, "the disk is full")


def test_a_summary_waits_for_no_run(fleet: Fleet, duties: Duties) -> None:
    at_work, over = threading.Event(), threading.Event()

    def work(progress: object) -> None:
        at_work.set()
        over.wait(60)

    duties._runs.submit(Piece(slots.CYCLE, 60, work))
    assert at_work.wait(10)
    try:
        assert duties._begin(claim(fleet))
        wait_until(partial(fleet.store.messages.latest, "summary"), "it was posted while a run is at work")
    finally:
        over.set()
    assert duties._summaries.stop(10)
