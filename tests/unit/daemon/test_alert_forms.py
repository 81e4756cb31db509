"""The two forms of alerts: read into bounded plain data, whatever was sent."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenancebot.daemon.alert_forms import MOST_LABELS, MOST_VALUE, FormError, Message, alertmanager, generic

NOON = datetime(2026, 11, 21, 12, 34, tzinfo=UTC)
LABELS = {"alertname": "DiskFull", "instance": "192.0.2.1:9100", "mountpoint": "/var"}


def alert(**more: Any) -> dict[str, Any]:
    starts = "2026-11-21T12:00:00.123456789Z"
    return {"status": "firing", "labels": LABELS, "startsAt": starts, "fingerprint": "f1", **more}


def group(*alerts: Any, **more: Any) -> dict[str, Any]:
    return {"version": "4", "status": "firing", "alerts": list(alerts), **more}


def test_an_alert_of_alertmanager_is_read() -> None:
    (row,) = alertmanager(group(alert()), NOON).alerts
    assert (row.source, row.name, row.status, dict(row.labels), row.at) == (
        "alertmanager",
        "DiskFull",
        "firing",
        LABELS,
        NOON,
    )
    assert row.more == {"starts_at": "2026-11-21T12:00:00.123456+00:00"}


def keys(*alerts: dict[str, Any]) -> set[str]:
    return {row.key for one in alerts for row in alertmanager(group(one), NOON).alerts}


def test_the_same_alert_has_the_same_key_from_whoever_and_whenever_it_comes() -> None:
    same = [
        alert(),
        alert(status="resolved", endsAt="2026-11-21T13:00:00Z"),
        alert(startsAt="2026-11-21T13:00:00.123456789+01:00"),
        alert(annotations={"summary": "x"}, generatorURL="http://other"),
    ]
    assert len(keys(*same)) == 1
    assert len(keys(alert(), alert(fingerprint="f2"), alert(startsAt="2026-11-21T12:00:01Z"))) == 3
    without = {key: value for key, value in alert().items() if key != "fingerprint"}
    other = {**without, "labels": {**LABELS, "device": "/dev/sda"}}
    assert len(keys(without, other)) == 2


def test_what_was_truncated_is_counted() -> None:
    message = alertmanager(group(alert(), truncatedAlerts=7), NOON)
    assert (message.truncated, message.alerts[0].more["truncated"]) == (7, 7)


@pytest.mark.parametrize("version", ["3", "5", 4, None])
def test_other_versions_are_refused(version: Any) -> None:
    with pytest.raises(FormError, match=r'^this is not version "4" of Alertmanager\'s webhook; '):
        alertmanager(group(alert(), version=version), NOON)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        {},
        "x",
        alert(labels={}),
        alert(labels=None),
        alert(labels={"alertname": 7}),
        alert(status="odd"),
        alert(startsAt="yesterday"),
        alert(startsAt="2026-11-21T12:00:00"),
        alert(startsAt="0001-01-01T00:00:00+14:00"),
        alert(startsAt=7),
        alert(fingerprint=["f"]),
    ],
)
def test_one_alert_that_cannot_be_read_does_not_take_the_others_along(broken: Any) -> None:
    message = alertmanager(group(alert(), broken), NOON)
    assert (len(message.alerts), message.unreadable) == (1, 1)
    with pytest.raises(FormError, match="no alert of this message can be read"):
        alertmanager(group(broken), NOON)


def test_labels_that_are_too_many_or_too_long_are_left_out_whole() -> None:
    long = {**LABELS, "path": "/" + "x" * MOST_VALUE, "y" * 500: "1"}
    (row,) = alertmanager(group(alert(labels=long)), NOON).alerts
    assert (dict(row.labels), row.more["left_out"]) == (LABELS, 2)
    many = {**LABELS, **{f"z{number}": "" for number in range(100)}}
    (row,) = alertmanager(group(alert(labels=many)), NOON).alerts
    assert (len(row.labels), row.more["left_out"], row.labels["mountpoint"]) == (MOST_LABELS, 39, "/var")


def own(**more: Any) -> dict[str, Any]:
    return {"alerts": [{"name": "DiskFull", "host": "web-1", "mount": "/var", **more}]}


def test_our_own_form_is_read() -> None:
    (row,) = generic(own(starts_at="2026-11-21T12:00:00Z", labels={"team": "db"}), NOON).alerts
    assert dict(row.labels) == {"team": "db", "host": "web-1", "mountpoint": "/var"}
    assert (row.source, row.name, row.status) == ("generic", "DiskFull", "firing")
    (bare,) = generic({"alerts": [{"name": "x", "host": "y"}]}, NOON).alerts
    assert dict(bare.labels) == {"host": "y"}


def test_a_label_cannot_stand_for_the_host_or_the_mount() -> None:
    (row,) = generic(own(labels={"host": "web-2", "mountpoint": "/"}), NOON).alerts
    assert dict(row.labels) == {"host": "web-1", "mountpoint": "/var"}


def key(at: datetime = NOON, **more: Any) -> str:
    return generic(own(**more), at).alerts[0].key


def test_without_a_beginning_it_is_the_same_alert_for_an_hour() -> None:
    assert key() == key(NOON.replace(minute=59)) == key(status="resolved")
    assert key() != key(NOON.replace(hour=13))
    starts = "2026-11-21T12:00:00Z"
    assert key(starts_at=starts) == key(NOON.replace(hour=23), starts_at=starts)
    assert len({key(), key(mount="/"), key(name="Other"), key(labels={"a": "b"})}) == 4


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], 'the message must be {"alerts": [...]}'),
        ({"alerts": [], "more": 1}, 'the message must be {"alerts": [...]}'),
        ({"alerts": {}}, "`alerts` must be a list"),
        ({"alerts": ["x"]}, "alert 1 must be an object with the keys"),
        (own(command="reboot"), "alert 1 must be an object with the keys"),
        (own(host=""), "alert 1: `name` and `host` must be texts"),
        (own(mount=["/"]), "alert 1: `name` and `host` must be texts"),
        ({"alerts": [{"name": "x"}]}, "alert 1: `name` and `host` must be texts"),
        (own(name="x" * 201), "alert 1: `name` has at most 200 characters"),
        (own(status="over"), "`status` is firing or resolved"),
        (own(starts_at="12:00"), "alert 1: `starts_at` must be a time with its zone"),
        (own(labels={"a": 1}), "`labels` texts by name"),
    ],
)
def test_what_is_not_our_form_is_refused_with_words(document: Any, told: str) -> None:
    with pytest.raises(FormError) as error:
        generic(document, NOON)
    assert told in str(error.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=20,
)
ODD_ALERT = st.fixed_dictionaries(
    {},
    optional={
        "status": st.sampled_from(["firing", "resolved"]) | JSON,
        "labels": st.dictionaries(st.sampled_from(["alertname", "host", "x"]), st.text() | JSON) | JSON,
        "startsAt": st.sampled_from(["2026-11-21T12:00:00Z", ""]) | JSON,
        "fingerprint": st.text() | JSON,
        "name": st.text() | JSON,
        "host": st.text() | JSON,
        "starts_at": JSON,
    },
)


@given(JSON | st.lists(ODD_ALERT | JSON).map(lambda alerts: {"version": "4", "alerts": alerts}))
def test_whatever_is_sent_is_read_or_refused(document: Any) -> None:
    for form in (alertmanager, generic):
        try:
            message = form(document, NOON)
        except FormError:
            continue
        assert isinstance(message, Message)
        for row in message.alerts:
            assert all(isinstance(value, str) for pair in row.labels.items() for value in pair)
            json.dumps([row.name, dict(row.labels), dict(row.more)])
