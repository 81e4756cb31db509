"""A bot in Slack: what arrives, what waits, and that nothing is there twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenancebot.delivery import slack_words
from maintenancebot.delivery.parcel import REST_SECONDS, Attempt, Fate, Parcel
from maintenancebot.delivery.slack_api import SlackApi
from maintenancebot.report.slack import Payload
from tests.fakes import slack
from tests.fakes.slack import Slack
from tests.unit.delivery.parcels import escalation, summary


@pytest.fixture
def there() -> Iterator[Slack]:
    with slack.serving() as server:
        yield server


def bot(there: Slack, channel: str = slack.CHANNEL, token: str = slack.TOKEN) -> SlackApi:
    return SlackApi(token, channel, there.base_url)


def again(parcel: Parcel, attempt: Attempt) -> Parcel:
    """The same message at its next try."""
    unclear = attempt.fate is Fate.UNCLEAR
    return replace(
        parcel, tries=parcel.tries + 1, is_unclear=unclear, tried_at=parcel.created_at, reference=attempt.reference
    )


def test_a_message_is_posted_and_known_again(there: Slack) -> None:
    attempt = bot(there).send(escalation())
    assert attempt.fate is Fate.SENT
    (posted,) = there.posted
    assert "web-1" in posted.words
    assert attempt.reference["channel"] == slack.CHANNEL
    assert attempt.reference["ts"] == posted.ts
    assert posted.metadata["event_type"] == "maintenancebot_message"


def test_a_message_that_is_there_is_replaced(there: Slack) -> None:
    where = bot(there).send(escalation()).reference
    assert bot(there).replace(where, Payload("decided", ())) == ""
    assert [one.text for one in there.posted] == ["decided"]
    assert bot(there).replace({**where, "ts": "1.1"}, Payload("decided", ())) == "Slack says no: message_not_found"


def test_a_summary_is_one_message_and_a_thread_below_it(there: Slack) -> None:
    assert bot(there).send(summary()).fate is Fate.SENT
    main, *replies = there.posted
    assert "host-299" in main.words
    assert not main.thread_ts
    assert len(replies) >= 2
    assert {one.thread_ts for one in replies} == {main.ts}


@pytest.mark.parametrize(
    ("bad", "fate", "wait", "words"),
    [
        ((429, 7), Fate.LATER, 7, "left alone"),
        ((429, 86400), Fate.LATER, 3600, "left alone"),
        (500, Fate.LATER, None, "500"),
        (503, Fate.LATER, None, "503"),
        (504, Fate.UNCLEAR, None, "504"),
        ("ratelimited", Fate.LATER, None, "ratelimited"),
        ("invalid_auth", Fate.LATER, REST_SECONDS, "invalid_auth"),
        ("channel_not_found", Fate.LATER, REST_SECONDS, "channel_not_found"),
        ("fatal_error", Fate.UNCLEAR, None, "fatal_error"),
        (slack.HALF, Fate.UNCLEAR, None, "JSON"),
        (slack.BIG, Fate.UNCLEAR, None, "JSON"),
        (slack.DROP, Fate.UNCLEAR, None, "did not answer whole"),
    ],
)
def test_a_bad_answer_is_a_value_and_the_next_try_brings_it_there_once(
    bad: int | str | tuple[int, int], fate: Fate, wait: float | None, words: str, there: Slack
) -> None:
    there.next = [bad]
    attempt = bot(there).send(escalation())
    assert (attempt.fate, attempt.wait) == (fate, wait)
    assert words in attempt.detail
    assert len(attempt.detail) < 300
    assert bot(there).send(again(escalation(), attempt)).fate is Fate.SENT
    assert len(there.posted) == 1


def test_what_hangs_is_left_alone_after_a_while(there: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maintenancebot.delivery.slack_api.SECONDS", 0.2)
    there.next = [slack.HANG]
    assert bot(there).send(escalation()).fate is Fate.UNCLEAR


def test_who_cannot_be_reached_is_tried_later() -> None:
    attempt = SlackApi(slack.TOKEN, slack.CHANNEL, "http://127.0.0.1:1/api/").send(escalation())
    assert (attempt.fate, attempt.wait) == (Fate.LATER, None)
    assert "cannot be reached" in attempt.detail


def test_another_token_is_not_let_in(there: Slack) -> None:
    attempt = bot(there, token="xoxb-other").send(escalation())
    assert (attempt.fate, attempt.wait) == (Fate.LATER, REST_SECONDS)
    assert "xoxb" not in attempt.detail


def test_what_arrived_without_an_answer_is_found_and_not_posted_again(there: Slack) -> None:
    there.next = [slack.KEEP_AND_DROP]
    attempt = bot(there).send(escalation())
    assert attempt.fate is Fate.UNCLEAR
    found = bot(there).send(again(escalation(), attempt))
    assert (found.fate, found.reference["ts"]) == (Fate.SENT, there.posted[0].ts)
    assert len(there.posted) == 1


def test_what_a_dead_process_posted_of_a_thread_is_found_and_the_rest_is_posted(there: Slack) -> None:
    whole = bot(there).send(summary())
    parts = len(whole.reference["parts"])
    del there.posted[2:]
    died = summary(tries=1, is_unclear=True, tried_at=summary().created_at)
    assert bot(there).send(died).fate is Fate.SENT
    assert len(there.posted) == parts
    assert len({one.metadata["event_payload"]["part"] for one in there.posted}) == parts


def test_a_thread_goes_on_where_slack_wanted_to_be_left_alone(there: Slack) -> None:
    sent = bot(there).send(summary())
    parts = len(sent.reference["parts"])
    there.posted.clear()
    there.after(2, (429, 1))
    attempt = bot(there).send(summary())
    assert (attempt.fate, attempt.wait, attempt.reference["parts"]) == (Fate.LATER, 1, [0, 1])
    assert bot(there).send(again(summary(), attempt)).fate is Fate.SENT
    assert len(there.posted) == parts


BAD = [(429, 1), 500, 504, "invalid_auth", "fatal_error", slack.HALF, slack.BIG, slack.DROP, slack.KEEP_AND_DROP]


@given(st.lists(st.one_of(st.just(slack.TAKE), st.sampled_from(BAD)), max_size=8))
@settings(max_examples=40)
def test_a_summary_arrives_whole_and_once_whatever_slack_does(answers: list[int | str | tuple[int, int]]) -> None:
    with slack.serving() as there:
        there.next = list(answers)
        parcel, attempt = summary(), bot(there).send(summary())
        while attempt.fate is not Fate.SENT:
            parcel = again(parcel, attempt)
            assert parcel.tries <= len(answers)
            attempt = bot(there).send(parcel)
        main, *replies = there.posted
        assert "host-299" in main.words
        assert [one.metadata["event_payload"]["part"] for one in there.posted] == [0, 1, 2]
        assert {one.thread_ts for one in replies} == {main.ts}


def test_a_message_that_may_be_there_is_found_however_many_looks_for_it_failed_in_between(there: Slack) -> None:
    there.at, there.next = escalation().created_at.timestamp(), [slack.KEEP_AND_DROP]
    attempt, parcel = bot(there).send(escalation()), escalation()
    down = SlackApi(slack.TOKEN, slack.CHANNEL, "http://127.0.0.1:1/api/")
    for hours in range(4):
        assert attempt.fate is Fate.UNCLEAR
        parcel = replace(again(parcel, attempt), tried_at=parcel.created_at + timedelta(hours=hours))
        attempt = down.send(parcel)
    parcel = replace(again(parcel, attempt), tried_at=parcel.created_at + timedelta(hours=4))
    found = bot(there).send(parcel)
    assert (found.fate, found.reference["ts"]) == (Fate.SENT, there.posted[0].ts)
    assert "since" not in found.reference
    assert len(there.posted) == 1


def test_where_nobody_may_look_a_message_that_may_be_there_is_not_posted_again(there: Slack) -> None:
    there.may_read = False
    there.next = [slack.KEEP_AND_DROP]
    attempt = bot(there).send(escalation())
    lost = bot(there).send(again(escalation(), attempt))
    assert lost.fate is Fate.LOST
    assert "missing_scope" in lost.detail
    assert len(there.posted) == 1


def test_where_nobody_may_look_a_message_that_did_not_arrive_is_posted(there: Slack) -> None:
    there.may_read = False
    there.next = [(429, 1)]
    attempt = bot(there).send(escalation())
    assert bot(there).send(again(escalation(), attempt)).fate is Fate.SENT
    assert len(there.posted) == 1


def test_a_channel_by_name_is_looked_into_once_its_id_was_heard(there: Slack) -> None:
    there.next = [slack.KEEP_AND_DROP]
    attempt = bot(there, slack.CHANNEL_NAME).send(escalation())
    unclear = again(escalation(), attempt)
    assert bot(there, slack.CHANNEL_NAME).send(unclear).fate is Fate.LOST
    known = {"channel": slack.CHANNEL, "name": slack.CHANNEL_NAME}
    assert bot(there, slack.CHANNEL_NAME).send(replace(unclear, known=known)).fate is Fate.SENT
    other = {"channel": "C0000OTHER", "name": "#other"}
    assert bot(there, slack.CHANNEL_NAME).send(replace(unclear, known=other)).fate is Fate.LOST
    assert len(there.posted) == 1


def test_blocks_that_slack_does_not_take_go_as_text(there: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Payload("a person is needed", ({"type": "header", "text": {"type": "plain_text", "text": "x" * 151}},))
    monkeypatch.setattr(slack_words, "of_telling", lambda kind, body: bad)
    assert bot(there).send(escalation()).fate is Fate.SENT
    assert [(one.text, one.blocks) for one in there.posted] == [("a person is needed", ())]


def test_what_slack_takes_in_no_form_is_refused(there: Slack) -> None:
    there.next = ["invalid_blocks", "no_text"]
    assert bot(there).send(escalation()).fate is Fate.REFUSED
    assert there.posted == []
