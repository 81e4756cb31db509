"""An incoming webhook of Slack: it cannot be asked what is there, so what may be there is not posted again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from maintenancebot.delivery import slack_words
from maintenancebot.delivery.parcel import REST_SECONDS, Fate
from maintenancebot.delivery.slack_webhook import SlackWebhook
from maintenancebot.report.slack import Payload
from tests.fakes import slack
from tests.fakes.slack import Slack
from tests.unit.delivery.parcels import escalation, summary


@pytest.fixture
def there() -> Iterator[Slack]:
    with slack.serving() as server:
        yield server


def test_a_summary_is_its_first_message(there: Slack) -> None:
    assert SlackWebhook(there.hook).send(summary()).fate is Fate.SENT
    (posted,) = there.posted
    assert "host-299" in posted.words


@pytest.mark.parametrize(
    ("bad", "fate", "wait"),
    [
        ((429, 30), Fate.LATER, 30),
        (500, Fate.LATER, None),
        (503, Fate.LATER, None),
        (404, Fate.LATER, REST_SECONDS),
        (502, Fate.LOST, None),
        (slack.HALF, Fate.LOST, None),
        (slack.BIG, Fate.LOST, None),
        (slack.KEEP_AND_DROP, Fate.LOST, None),
    ],
)
def test_a_bad_answer_is_a_value(
    bad: int | str | tuple[int, int], fate: Fate, wait: float | None, there: Slack
) -> None:
    there.next = [bad]
    attempt = SlackWebhook(there.hook).send(escalation())
    assert (attempt.fate, attempt.wait) == (fate, wait)
    assert "fakehook" not in attempt.detail
    assert len(attempt.detail) < 300


def test_what_a_dead_process_may_have_posted_is_not_posted_again(there: Slack) -> None:
    attempt = SlackWebhook(there.hook).send(replace(escalation(), tries=1, is_unclear=True))
    assert attempt.fate is Fate.LOST
    assert there.posted == []


def test_who_cannot_be_reached_is_tried_later() -> None:
    assert SlackWebhook("http://127.0.0.1:1/services/x").send(escalation()).fate is Fate.LATER


def test_blocks_that_slack_does_not_take_go_as_text(there: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Payload("a person is needed", ({"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},))
    monkeypatch.setattr(slack_words, "of_telling", lambda kind, body: bad)
    assert SlackWebhook(there.hook).send(escalation()).fate is Fate.SENT
    assert [(one.text, one.blocks) for one in there.posted] == [("a person is needed", ())]
