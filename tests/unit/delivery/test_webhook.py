"""An address that is posted each message as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest

from maintenancebot.delivery.parcel import REST_SECONDS, Fate
from maintenancebot.delivery.webhook import Webhook
from tests.fakes import web
from tests.fakes.web import Web
from tests.unit.delivery.parcels import AT, escalation

ODD = "a\nb \udcff\ud800 <!channel>"


@pytest.fixture
def there() -> Iterator[Web]:
    with web.serving() as server:
        yield server


def test_a_message_is_posted_whole_with_its_key_and_the_token(there: Web) -> None:
    parcel = replace(escalation(), key=ODD, body={"name": ODD, "list": [1, None, {ODD: True}]})
    assert Webhook(there.url, "secret-token").send(parcel).fate is Fate.SENT
    ((headers, document),) = there.got
    assert headers["authorization"] == "Bearer secret-token"
    assert headers["idempotency-key"] == "a%0Ab%20%3F%3F%20%3C%21channel%3E"
    assert (document["schema"], document["kind"], document["created_at"]) == (1, "escalated", AT.isoformat())
    shown = "a\nb \\udcff\\ud800 <!channel>"
    assert document["body"] == {"name": shown, "list": [1, None, {shown: True}]}


def test_without_a_token_none_goes_along(there: Web) -> None:
    Webhook(there.url).send(escalation())
    assert "authorization" not in there.got[0][0]


@pytest.mark.parametrize(
    ("status", "headers", "fate", "wait"),
    [
        (503, {"Retry-After": "5"}, Fate.LATER, 5),
        (429, {"Retry-After": "soon"}, Fate.LATER, None),
        (401, {}, Fate.LATER, REST_SECONDS),
        (404, {}, Fate.LATER, REST_SECONDS),
        (400, {}, Fate.REFUSED, None),
        (0, {}, Fate.UNCLEAR, None),
    ],
)
def test_a_bad_answer_is_a_value(
    status: int, headers: Mapping[str, str], fate: Fate, wait: float | None, there: Web
) -> None:
    there.next = [(status, headers)]
    attempt = Webhook(there.url, "secret-token").send(escalation())
    assert (attempt.fate, attempt.wait) == (fate, wait)


def test_nobody_is_followed_elsewhere_with_the_token(there: Web) -> None:
    with web.serving() as other:
        there.next = [(302, {"Location": other.url}), (307, {"Location": other.url})]
        for _ in range(2):
            assert Webhook(there.url, "secret-token").send(escalation()).fate is Fate.LATER
        assert other.got == []


def test_who_cannot_be_reached_is_tried_later() -> None:
    assert Webhook("http://127.0.0.1:1/x").send(escalation()).fate is Fate.LATER


def test_what_may_have_arrived_is_posted_again_under_the_same_key(there: Web) -> None:
    there.next = [(0, {})]
    assert Webhook(there.url).send(escalation()).fate is Fate.UNCLEAR
    assert Webhook(there.url).send(replace(escalation(), tries=1, is_unclear=True)).fate is Fate.SENT
    assert {headers["idempotency-key"] for headers, _ in there.got} == {"episode:e1:escalated"}
