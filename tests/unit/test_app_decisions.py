"""A plan that is decided by a command: its message in Slack says so, and Slack keeps nobody from deciding."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from maintenancebot.app import messages
from maintenancebot.app.context import load, now
from maintenancebot.app.decisions import decide
from maintenancebot.app.person import person
from maintenancebot.policy.approvals import ApprovalState
from tests.fakes import slack
from tests.fakes.slack import Slack
from tests.unit.places import Place
from tests.unit.store.examples import request

TASK = {"name": "certificate_check", "type": "monitor", "check": "certificate_expiry_days > 30"}


@pytest.fixture
def there(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    monkeypatch.setenv("MAINTENANCEBOT_SLACK_TOKEN", slack.TOKEN)
    with slack.serving() as server:
        place.configure(TASK, slack={"channel": slack.CHANNEL, "base_url": server.base_url})
        place.list_hosts("web-1")
        yield server


def asked(place: Place, *, told: bool) -> str:
    """A plan that waits, and its message, which is there or not yet."""
    context = load(place)
    with context.store() as store:
        digest = request(store, 1, 2, at=now())
        body = {"digest": digest, "detail": "2 changes wait", "hosts": {"web-1": 2}}
        store.messages.put(f"approval:{digest}", "approval", body, at=now())
        if told:
            messages.deliver(context, store)
    return digest


def test_the_message_says_who_decided_in_place_of_its_buttons(place: Place, there: Slack) -> None:
    digest = asked(place, told=True)
    assert "Approve" in there.posted[0].words
    assert decide(place, digest[:12], approve=True).state is ApprovalState.APPROVED
    (posted,) = there.posted
    assert f"Approved by {person()} at" in posted.words
    assert "actions" not in json.dumps(posted.blocks)


def test_what_slack_was_not_told_yet_is_decided_all_the_same(place: Place, there: Slack) -> None:
    assert decide(place, asked(place, told=False), approve=False).state is ApprovalState.DENIED
    assert there.calls == []


def test_a_slack_that_says_no_changes_nothing_of_the_decision(
    place: Place, there: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    digest = asked(place, told=True)
    there.posted.clear()
    with caplog.at_level(logging.WARNING):
        assert decide(place, digest, approve=True).state is ApprovalState.APPROVED
    assert [record.why for record in caplog.records] == ["Slack says no: message_not_found"]
