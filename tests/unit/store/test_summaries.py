"""A week's summary and its message are kept together, once; and what is read of a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from maintenancebot.model import Reason, State
from maintenancebot.policy.episodes import Episode, EpisodeState
from maintenancebot.store import Store
from maintenancebot.store.summaries import Summary
from tests.unit.store.examples import NOON, ODD, later, request

WEEK = "2026-W47"
KEY = f"summary:{WEEK}"


def told(detail: str = "") -> Summary:
    return Summary(WEEK, NOON, {"headline": detail}, {"text": "words"})


def test_a_week_that_is_over_is_kept_with_its_message_once(store: Store) -> None:
    assert store.summaries.get(WEEK) is None
    assert store.summaries.post(KEY, told(ODD), is_whole=True)
    assert not store.summaries.post(KEY, told("another"), is_whole=True)
    assert store.summaries.get(WEEK) == told(ODD)
    (message,) = store.messages.waiting(5)
    assert (message.key, message.kind) == (KEY, "summary")
    assert message.body == {"facts": {"headline": ODD}, "prose": {"text": "words"}}
    assert store.summaries.is_posted(KEY)
    assert not store.summaries.is_posted("summary:2026-W48")


def test_of_a_week_at_hand_the_message_alone_is_kept(store: Store) -> None:
    assert store.summaries.post(f"{KEY}:now", told(), is_whole=False)
    assert store.summaries.get(WEEK) is None
    assert store.summaries.post(KEY, told(), is_whole=True)
    assert len(store.messages.waiting(5)) == 2


def test_runs_of_a_time_come_with_their_reports(store: Store) -> None:
    for hours in (0, 1, 2):
        store.runs.start(f"run-{hours}", "run", "c" * 64, at=later(hours=hours))
    store.runs.finish("run-1", State.DONE, {}, {"schema": 1}, at=later(hours=1))
    found = store.runs.between(NOON, later(hours=2))
    assert [(run.id, run.report) for run in found] == [("run-0", None), ("run-1", {"schema": 1})]
    assert store.runs.any_between(later(hours=2), later(hours=3))
    assert not store.runs.any_between(later(hours=3), later(hours=4))


def test_slots_of_a_time_are_those_that_are_over(store: Store) -> None:
    slot = int(NOON.timestamp())
    store.slots.claim("cycle", slot, "rule", "run-1", at=NOON)
    store.slots.miss("purge", {slot: "late", slot + 7200: "late"}, "rule", at=NOON)
    assert [one.schedule for one in store.slots.between(NOON, later(hours=1))] == ["purge"]


def test_episodes_of_a_time_were_opened_or_ended_in_it(store: Store) -> None:
    def episode(id: str, opened: int, closed: int | None) -> Episode:
        ended = None if closed is None else later(hours=closed)
        state = EpisodeState.OPENED if closed is None else EpisodeState.CLOSED
        at = later(hours=opened)
        return Episode(id, "disk", "web-1", "/", at, at, state, Reason.NONE, closed_at=ended)

    from sqlalchemy import insert

    from maintenancebot.store import episodes

    with store.episodes._database.write() as connection:
        for one in (episode("a", -9, -8), episode("b", -9, 1), episode("c", 1, None), episode("d", 5, None)):
            connection.execute(insert(episodes.episodes), episodes._row(one))
    assert [one.id for one in store.episodes.between(NOON, later(hours=2))] == ["b", "c"]


@pytest.mark.parametrize(("hours", "number"), [(-1, 0), (0, 1), (1, 1), (2, 0), (7 * 24, 0)])
def test_what_waited_at_a_time_is_known_afterwards(store: Store, hours: int, number: int) -> None:
    digest = request(store, 1)
    store.approvals.decide(digest, approve=True, by="ann", at=later(hours=2))
    assert len(store.approvals.pending(at=NOON + timedelta(hours=hours))) == number


def test_what_nobody_decided_waits_until_it_expires(store: Store) -> None:
    request(store, 1)
    assert [len(store.approvals.pending(at=later(days=days))) for days in (0, 6, 7)] == [1, 1, 0]
