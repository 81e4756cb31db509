"""Allowances hold until their time, and every word about them stands in the audit log."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from maintenancebot.errors import StoreError
from maintenancebot.store import Store
from maintenancebot.store.allowances import Given
from maintenancebot.store.tables import audit

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def given(host: str = "web-1", item: str = "file:/etc/motd", days: int = 1, reason: str = "a test") -> Given:
    return Given(host, item, AT + days * DAY, "ann", reason, AT)


def rows(store: Store) -> list[tuple[str, str, object]]:
    with store._database.read() as connection:
        found = connection.execute(select(audit.c.kind, audit.c.host, audit.c.body).order_by(audit.c.seq))
        return [(row.kind, row.host, json.loads(row.body)) for row in found]


def test_one_holds_until_its_time(store: Store) -> None:
    store.allowances.give([given()])
    assert store.allowances.all(at=AT) == [given()]
    assert store.allowances.all(at=AT + DAY) == []


def test_a_new_one_replaces_the_one_before(store: Store) -> None:
    store.allowances.give([given(reason="one")])
    store.allowances.give([given(reason="two", days=2)])
    assert [one.reason for one in store.allowances.all(at=AT)] == ["two"]


def test_they_are_listed_by_host_and_item(store: Store) -> None:
    store.allowances.give([given("web-2"), given(item="user:ops"), given()])
    found = [(one.host, one.item) for one in store.allowances.all(at=AT)]
    assert found == [("web-1", "file:/etc/motd"), ("web-1", "user:ops"), ("web-2", "file:/etc/motd")]


def test_what_is_past_goes_when_the_next_is_given(store: Store) -> None:
    store.allowances.give([given(), given(item="user:ops", days=3)])
    later = AT + 2 * DAY
    store.allowances.give([Given("web-1", "group:sudo", later + DAY, "ann", "a test", later)])
    assert [one.item for one in store.allowances.all(at=AT)] == ["group:sudo", "user:ops"]


def test_one_that_is_revoked_holds_no_more(store: Store) -> None:
    store.allowances.give([given()])
    assert store.allowances.revoke("web-1", "file:/etc/motd", "bob", at=AT)
    assert not store.allowances.revoke("web-1", "file:/etc/motd", "bob", at=AT)
    assert store.allowances.all(at=AT) == []


def test_one_that_is_over_cannot_be_revoked(store: Store) -> None:
    store.allowances.give([given()])
    assert not store.allowances.revoke("web-1", "file:/etc/motd", "bob", at=AT + DAY)


def test_each_word_stands_in_the_audit_log(store: Store) -> None:
    store.allowances.give([given()])
    store.allowances.revoke("web-1", "file:/etc/motd", "bob", at=AT)
    until, at = (AT + DAY).isoformat(), AT.isoformat()
    told = {"item": "file:/etc/motd", "until": until, "by": "ann", "reason": "a test", "at": at}
    assert rows(store) == [
        ("allowance", "web-1", told),
        ("allowance_revoked", "web-1", {"item": "file:/etc/motd", "by": "bob"}),
    ]
    assert store.audit.verify().ok


def test_a_store_that_is_only_read_gives_none(tmp_path: Path) -> None:
    with Store.open_readonly(tmp_path / "state") as store:
        assert store.allowances.all(at=AT) == []
        with pytest.raises(StoreError):
            store.allowances.give([given()])
