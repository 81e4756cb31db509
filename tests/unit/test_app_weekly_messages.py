"""What nobody may have read needs a person: messages that were given up, or lost on their way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from maintenancebot.model import State
from maintenancebot.store import Store
from maintenancebot.store.deliveries import DeliveryState
from tests.unit.places import Place
from tests.unit.report.examples import host
from tests.unit.weeks import SUNDAY, WEEK, Fleet, backups, told

FRESH = backups(state=State.DONE)


@pytest.fixture
def fleet(place: Place) -> Iterator[Fleet]:
    with Store.open(place.state_dir, create=True) as store:
        yield Fleet(place, store)


def ended(fleet: Fleet, key: str, state: DeliveryState, at: datetime = SUNDAY, target: str = "slack") -> None:
    """A message whose last try ended so."""
    fleet.store.messages.put(key, "escalated", {}, at=at)
    delivery = fleet.store.deliveries.claim(target, at=at)
    assert delivery is not None
    fleet.store.deliveries.settle(delivery, state, at=at, detail="Slack says no: token_revoked")


def test_messages_that_did_not_arrive_are_told_by_target(fleet: Fleet) -> None:
    fleet.ran(host("web-1", FRESH))
    ended(fleet, "escalated:1", DeliveryState.GIVEN_UP)
    ended(fleet, "escalated:2", DeliveryState.GIVEN_UP, SUNDAY + timedelta(hours=1))
    ended(fleet, "escalated:3", DeliveryState.LOST)
    ended(fleet, "escalated:4", DeliveryState.SENT)
    week = fleet.week("web-1")
    assert told(week.needs_person) == ["messages to slack: failed", "messages to slack: unknown"]
    assert week.needs_person[0].detail == "2 given up, first escalated:1, Slack says no: token_revoked"
    assert week.needs_person[0].since == SUNDAY
    assert week.state is State.FAILED


def test_those_of_another_week_are_told_in_that_one(fleet: Fleet) -> None:
    fleet.ran(host("web-1", FRESH))
    ended(fleet, "escalated:1", DeliveryState.GIVEN_UP, SUNDAY - WEEK)
    assert told(fleet.week("web-1").needs_person) == []
    assert "messages to slack: failed" in told(fleet.week("web-1", name="2026-W46").needs_person)
