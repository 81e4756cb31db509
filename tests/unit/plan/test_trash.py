"""What may go for good: past its time, the oldest first, never more than one run may delete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.model import Action, Reason, Risk, State, Undo
from maintenancebot.plan import trash
from maintenancebot.settings import Caps

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Held:
    """An item of a host's trash."""

    id: str
    age_days: float = 40
    keep_days: float = 30
    state: str = "held"
    size: int = 1000
    stored_bytes: int = 4096
    offload: str = ""
    path: str = "/var/log/app/a.log"
    form: str = "file"
    dev: int = 7
    identity: Mapping[str, Any] = field(default_factory=lambda: {"ino": 5, "size": 1000})

    @property
    def quarantined_at(self) -> datetime | None:
        return NOW - timedelta(days=self.age_days)

    @property
    def purge_after(self) -> datetime | None:
        return NOW - timedelta(days=self.age_days - self.keep_days)


def ids(plan: Any) -> list[str]:
    return [change.object["item"] for change in plan.changes]


def test_what_is_past_its_time_goes_and_the_rest_stays() -> None:
    plan = trash.purge("web-1", [Held("young", 10), Held("old", 31), Held("older", 50)], Caps(), NOW)
    assert (plan.state, ids(plan)) == (State.PLANNED, ["older", "old"])
    assert plan.detail == "1 of 3 items stay; the next is due 2026-12-11 03:00 UTC"
    assert plan.facts == {"items": 3, "due": 2, "over_cap": 0, "too_large": 0}
    change = plan.changes[0]
    assert (change.action, change.undo, change.risk) == (Action.PURGE_ITEM, Undo.NONE, Risk.HIGH)
    assert change.object == {"item": "older", "ino": 5, "size": 1000}
    assert change.effect["freed_now"] == 4096


@pytest.mark.parametrize("state", ["lost", "unreadable", "restored", "purged", "intent"])
def test_only_what_can_be_restored_is_purged(state: str) -> None:
    assert ids(trash.purge("web-1", [Held("x", state=state)], Caps(), NOW)) == []


def test_an_item_in_an_object_store_is_purged_there() -> None:
    plan = trash.purge("web-1", [Held("x", state="offloaded", stored_bytes=0, offload="s3://b/k")], Caps(), NOW)
    assert plan.changes[0].note == "cannot be undone; its bytes in s3://b/k go too"


def test_nothing_is_due() -> None:
    assert trash.purge("web-1", [], Caps(), NOW).reason is Reason.NO_MATCH
    plan = trash.purge("web-1", [Held("x", 1)], Caps(), NOW)
    assert (plan.state, plan.reason) == (State.NOTHING, Reason.UP_TO_DATE)


def test_above_the_caps_the_oldest_go_and_the_rest_is_told() -> None:
    items = [Held(str(age), age) for age in (31, 33, 32)]
    plan = trash.purge("web-1", items, Caps(files=2), NOW)
    assert ids(plan) == ["33", "32"]
    assert plan.facts["over_cap"] == 1
    assert "due, and left for the next purge by deletion.caps: 1" in plan.detail
    by_bytes = trash.purge("web-1", [Held(str(age), age, size=600) for age in (31, 32)], Caps(bytes=4500), NOW)
    assert ids(by_bytes) == ["32"]


def test_an_item_that_no_run_may_delete_does_not_hold_up_the_others() -> None:
    plan = trash.purge("web-1", [Held("huge", 90, size=10_000), Held("x", 31)], Caps(bytes=5000), NOW)
    assert (ids(plan), plan.facts["too_large"]) == (["x"], 1)
    assert "due, and larger than deletion.caps.bytes: 1" in plan.detail
    alone = trash.purge("web-1", [Held("huge", 90, size=10_000)], Caps(bytes=5000), NOW)
    assert (alone.state, alone.reason) == (State.SKIPPED, Reason.OVER_CAP)


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 9000), st.integers(0, 9000)), max_size=30),
    st.integers(1, 10),
    st.integers(1, 20_000),
)
def test_no_plan_deletes_what_is_young_or_more_than_the_caps(
    rows: list[tuple[float, int, int]], files: int, size: int
) -> None:
    items = [Held(f"{n:02}", age, size=one, stored_bytes=two) for n, (age, one, two) in enumerate(rows)]
    chosen = ids(trash.purge("web-1", items, Caps(files=files, bytes=size), NOW))
    going = [item for item in items if item.id in chosen]
    assert all(item.age_days >= 30 for item in going)
    assert len(going) <= files
    assert sum(max(item.size, item.stored_bytes) for item in going) <= size
    staying = [item.age_days for item in items if item.id not in chosen and max(item.size, item.stored_bytes) <= size]
    assert not going or all(age <= min(item.age_days for item in going) or age < 30 for age in staying)
