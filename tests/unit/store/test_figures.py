"""Counts of what the daemon has to do and has done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenancebot.model import Reason, State
from maintenancebot.policy.alerts import Verdict
from maintenancebot.policy.episodes import Episode, EpisodeState
from maintenancebot.store import Store
from maintenancebot.store.alerts import Received
from maintenancebot.store.deliveries import DeliveryState

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", create=True) as opened:
        yield opened


def alert(key: str) -> Received:
    return Received(key, "alertmanager", "DiskFull", "firing", {"host": "web-1"}, AT, {})


def settle(store: Store, *episodes: Episode) -> None:
    """Settle as many alerts as there are episodes, and one more without any."""
    found = store.alerts.unsettled(10)
    verdicts = [
        Verdict(one.id, Reason.NONE if opened else Reason.NO_RULE, host="web-1", opens=opened)
        for one, opened in zip(found, [*episodes, None], strict=False)
    ]
    store.episodes.take_up(10, lambda *_: verdicts, lambda _: None, since=AT - timedelta(days=1), at=AT)


def test_a_new_state_has_nothing(store: Store) -> None:
    found = store.figures.at(AT)
    assert (found.alerts, found.open_episodes, found.ended_episodes, found.slots) == ({}, {}, {}, {})
    assert (found.alerts_waiting, found.messages_waiting, found.approvals_waiting) == (0, 0, 0)


def test_alerts_and_episodes_are_counted_by_their_words(store: Store) -> None:
    store.alerts.receive([alert("a"), alert("b"), alert("c"), alert("d")])
    store.alerts.receive([alert("a")])
    opened = Episode("e-1", "disk", "web-1", "/", AT, AT)
    settle(store, opened, replace(opened, id="e-2", subject="/var"))
    ended = replace(opened, id="e-2", subject="/var", state=EpisodeState.ESCALATED, closed_at=AT)
    store.episodes.move(ended)
    found = store.figures.at(AT)
    assert found.alerts == {("",): 2, ("no_rule",): 1}
    assert found.alerts_waiting == 1
    assert found.open_episodes == {("opened",): 1}
    assert found.ended_episodes == {("disk", "escalated"): 1}


def test_slots_are_counted_by_schedule_state_and_reason(store: Store) -> None:
    store.slots.claim("cycle", 100, "rule", "r-1", at=AT)
    store.slots.claim("cycle", 200, "rule", "r-2", at=AT)
    store.slots.finish("cycle", 200, State.DONE, at=AT)
    store.slots.miss("purge", {300: "late", 400: "late"}, "rule", at=AT)
    assert store.figures.at(AT).slots == {
        ("cycle", "", ""): 1,
        ("cycle", "done", ""): 1,
        ("purge", "skipped", "missed"): 2,
    }


def test_messages_wait_until_they_are_sent(store: Store) -> None:
    store.messages.put("one", "escalated", {}, at=AT)
    store.messages.put("two", "escalated", {}, at=AT)
    first = store.deliveries.claim("log", at=AT)
    assert first is not None
    store.deliveries.settle(first, DeliveryState.SENT, at=AT)
    store.messages.close(["log"], AT)
    assert store.figures.at(AT).messages_waiting == 1
