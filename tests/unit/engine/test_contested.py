"""A contested item is told with both values and who wrote it: once a day for each host and item."""

from __future__ import annotations

from datetime import datetime, timedelta

from maintenancebot.engine import contested
from maintenancebot.model import HostReport, Json, Reason, State, TaskReport, TaskType
from maintenancebot.store import Store
from tests.unit.engine.boxes import clock


def row(item: str) -> dict[str, Json]:
    return {
        "item": item,
        "wanted": {"sha256": "aa"},
        "found": {"sha256": "bb"},
        "differs": ["sha256"],
        "writers": {"package": "cloud-init"},
        "corrections": [1.0],
        "place": "baselines/web.yaml:3",
        "note": "what was replaced is back",
    }


def host(name: str, *items: str) -> HostReport:
    facts = {"contested": [row(item) for item in items]}
    task = TaskReport("drift", TaskType.DRIFT, State.FAILED, Reason.CONTESTED, facts=facts)
    return HostReport(name, State.FAILED, tasks=(task,))


def told(store: Store, at: datetime, *hosts: HostReport) -> list[tuple[str, str]]:
    before = {message.id for message in store.messages.waiting(1000)}
    contested.tell(hosts, "r1", store, at)
    new = [message for message in store.messages.waiting(1000) if message.id not in before]
    return [(message.body["host"], message.body["item"]) for message in new]


def test_both_values_and_who_wrote_it_are_told(store: Store) -> None:
    contested.tell([host("web-1", "file:/etc/motd")], "r1", store, clock())
    (message,) = store.messages.waiting(10)
    assert message.kind == "contested"
    assert message.body == {
        "host": "web-1",
        "run": "r1",
        "reason": "contested",
        "detail": "what was replaced is back",
        **{key: value for key, value in row("file:/etc/motd").items() if key != "note"},
    }


def test_it_is_told_once_a_day_for_each_host_and_item(store: Store) -> None:
    at, one = clock(), host("web-1", "file:/etc/motd")
    assert told(store, at, one) == [("web-1", "file:/etc/motd")]
    assert told(store, at + timedelta(hours=23), one) == []
    other = [host("web-1", "file:/etc/motd", "file:/etc/issue"), host("web-2", "file:/etc/motd")]
    assert told(store, at + timedelta(hours=23), *other) == [("web-1", "file:/etc/issue"), ("web-2", "file:/etc/motd")]
    assert told(store, at + timedelta(hours=25), one) == [("web-1", "file:/etc/motd")]


def test_an_end_between_message_and_memory_tells_nothing_twice(store: Store) -> None:
    at, one = clock(), host("web-1", "file:/etc/motd")
    told(store, at, one)
    store.memories.keep("web-1", contested.KIND, {}, at=at)
    assert told(store, at, one) == []


def test_who_has_nothing_contested_is_told_nothing(store: Store) -> None:
    assert told(store, clock(), host("web-1"), HostReport("web-2", State.UNKNOWN)) == []
