"""Buttons of Slack: only what Slack signed, only who may approve, exactly one plan, and an answer at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest

from maintenancebot import app
from maintenancebot.app import presses
from maintenancebot.app.context import Context
from maintenancebot.daemon.slack import PATH, Buttons
from maintenancebot.daemon.vitals import Vitals
from maintenancebot.policy.approvals import ApprovalState
from maintenancebot.settings import Secrets
from tests.fakes import slack
from tests.fakes.asgi import Answer, Client
from tests.fakes.slack import Slack, pressed, signed
from tests.lab.tools import wait_until
from tests.unit.places import Place
from tests.unit.store.examples import NOON, RUN, request

TASK = {"name": "certificate_check", "type": "monitor", "check": "certificate_expiry_days > 30"}


class Desk:
    """A daemon's buttons, and the Slack that they are in."""

    def __init__(self, place: Place, there: Slack) -> None:
        approvers = {"U0001": "anna", "U0002": RUN}
        place.configure(TASK, slack={"base_url": there.base_url, "approvers": approvers})
        place.list_hosts("web-1")
        loaded = app.load(place)
        secrets = Secrets(slack_signing_secret=slack.SIGNING)
        self.context = Context(loaded.settings, loaded.inventory, loaded.state, secrets)
        self.slack, self.store, self.decided = there, self.context.store(), 0
        self.buttons = Buttons(lambda: self.context, self.store, Vitals(), self._decide)
        self.client = Client(self.buttons.routes())

    def _decide(self) -> None:
        self.decided += 1

    def send(self, body: bytes, **headers: str) -> Answer:
        given = {name.replace("-", "_"): value for name, value in signed(body, time.time()).items()}
        return self.client.ask("POST", PATH, body, **{**given, **headers})

    def press(self, action: str, value: str, user: str = "U0001", name: str = "anna") -> dict[str, Any]:
        """Press a button and return what Slack was told of it."""
        before = len(self.slack.answered)
        assert self.send(pressed(action, value, user, name, slack=self.slack)).code == 200
        wait_until(lambda: len(self.slack.answered) > before, "Slack was told")
        told: dict[str, Any] = self.slack.answered[-1][1]
        return told

    def state(self, digest: str) -> ApprovalState:
        found = self.store.approvals.get(digest)
        assert found is not None
        return found.state


@pytest.fixture
def there() -> Iterator[Slack]:
    with slack.serving() as server:
        yield server


@pytest.fixture
def desk(place: Place, there: Slack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(presses, "now", lambda: NOON)
    made = Desk(place, there)
    yield made
    assert made.buttons.stop(10)
    made.store.close()


def asked(desk: Desk) -> str:
    """A plan that waits, and its message."""
    digest = request(desk.store, 1, 2)
    body = {"digest": digest, "detail": "2 changes wait", "hosts": {"web-1": 2}}
    desk.store.messages.put(f"approval:{digest}", "approval", body, at=NOON)
    return digest


@pytest.mark.parametrize(("action", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_plan_is_decided_and_the_message_says_so(action: str, state: str, desk: Desk) -> None:
    digest, other = asked(desk), request(desk.store, 3)
    told = desk.press(action, digest)
    assert told["replace_original"] is True
    words = json.dumps(told["blocks"])
    assert f"{state.capitalize()} by anna at" in words
    assert "actions" not in [block["type"] for block in told["blocks"]]
    assert (desk.state(digest), desk.state(other)) == (state, ApprovalState.PENDING)
    found = desk.store.approvals.get(digest)
    assert found is not None
    assert found.decided_by == "anna"
    assert desk.decided == 1


@pytest.mark.parametrize(("user", "words"), [("U0666", "slack.approvers"), ("U0002", "somebody else than who asked")])
def test_who_may_not_decide_is_told_so_alone(user: str, words: str, desk: Desk) -> None:
    """The name is what a user calls himself; it proves nothing."""
    digest = asked(desk)
    told = desk.press("approve", digest, user, "anna")
    assert (told["response_type"], told["replace_original"]) == ("ephemeral", False)
    assert words in told["text"]
    assert desk.state(digest) is ApprovalState.PENDING


@pytest.mark.parametrize("value", ["", "a", "*", "f" * 64, "F" * 63])
def test_only_a_whole_digest_that_is_known_names_a_plan(value: str, desk: Desk) -> None:
    digest = asked(desk)
    assert "not known here" in desk.press("approve", value or digest[:12])["text"]
    assert desk.state(digest) is ApprovalState.PENDING


def test_what_was_decided_is_not_decided_again(desk: Desk) -> None:
    digest = asked(desk)
    desk.press("deny", digest)
    assert "it was denied by anna" in desk.press("approve", digest)["text"]
    assert desk.state(digest) is ApprovalState.DENIED


def test_a_summary_is_reviewed_by_whoever_read_it(desk: Desk) -> None:
    told = desk.press("reviewed", "2026-W47", "U0009", "<!channel>\n")
    assert told["thread_ts"] == "1763000000.000001"
    assert "&lt;!channel&gt;\\n (U0009 of Slack) has reviewed" in told["text"]
    assert [one.by for one in desk.store.reviews.of("2026-W47")] == ["<!channel>\\n (U0009 of Slack)"]


def test_the_channel_is_told_of_a_review_once_however_often_the_button_is_pressed(desk: Desk) -> None:
    assert desk.press("reviewed", "2026-W47")["response_type"] == "in_channel"
    body = pressed("reviewed", "2026-W47", slack=desk.slack)
    stamped = signed(body, time.time() - 5)  # Slack signs each press anew
    assert desk.send(body, **{name.replace("-", "_"): value for name, value in stamped.items()}).code == 200
    wait_until(lambda: len(desk.slack.answered) == 2, "who pressed was told")
    again = desk.slack.answered[-1][1]
    assert (again["response_type"], again["text"]) == (
        "ephemeral",
        "anna (U0001 of Slack) has reviewed the summary of 2026-W47 before.",
    )
    assert len(desk.store.reviews.of("2026-W47")) == 1
    assert desk.press("reviewed", "2026-W48")["response_type"] == "in_channel"


def test_other_buttons_do_nothing(desk: Desk) -> None:
    assert "there is no button" in desk.press("reviewed", "x' OR 1")["text"]
    assert "there is no button" in desk.press("delete", "all")["text"]


def test_what_slack_did_not_sign_is_refused(desk: Desk) -> None:
    body = pressed("approve", asked(desk), slack=desk.slack)
    now, digest = time.time(), asked_digest(desk)
    for given in (
        signed(body, now, "another secret"),
        signed(body, now - 301),
        signed(body, now + 301),
        signed(body + b"&x=1", now),
        {**signed(body, now), "X-Slack-Request-Timestamp": "soon"},
        {**signed(body, now), "X-Slack-Request-Timestamp": "9" * 400},
        {**signed(body, now), "X-Slack-Signature": "v0=\u00e4"},
        {},
    ):
        headers = {name.replace("-", "_"): value for name, value in given.items()}
        assert desk.client.ask("POST", PATH, body, **headers).code == 401
    assert desk.state(digest) is ApprovalState.PENDING
    assert desk.slack.answered == []


def asked_digest(desk: Desk) -> str:
    (approval,) = desk.store.approvals.latest()
    return approval.digest


def test_the_same_request_again_is_refused(desk: Desk) -> None:
    body = pressed("deny", asked(desk), slack=desk.slack)
    headers = {name.replace("-", "_"): value for name, value in signed(body, time.time()).items()}
    answers = [desk.client.ask("POST", PATH, body, **headers).code for _ in range(3)]
    assert answers == [200, 409, 409]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload=x",
        b"payload=[]",
        b"\xff\xfe",
        urlencode({"payload": json.dumps({"type": "view_submission"})}).encode(),
        urlencode({"payload": json.dumps({"type": "block_actions", "actions": [], "user": {"id": "U"}})}).encode(),
        urlencode({"payload": json.dumps({"type": "block_actions", "actions": [{}], "user": None})}).encode(),
        urlencode({"payload": "[" * 100_000}).encode(),
    ],
)
def test_what_is_no_button_is_refused(body: bytes, desk: Desk) -> None:
    assert desk.send(body).code in (400, 401)


def test_slack_is_answered_before_anything_is_done(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    monkeypatch.setattr(
        presses, "now", lambda: wait_until(lambda: time.monotonic() > began + 1 and NOON, "a slow disk")
    )
    assert desk.send(pressed("approve", asked(desk), slack=desk.slack)).code == 200
    assert time.monotonic() - began < 1
    wait_until(lambda: desk.slack.answered, "Slack was told")


def test_an_answer_goes_to_slack_alone(desk: Desk) -> None:
    digest = asked(desk)
    with slack.serving() as other:
        assert desk.send(pressed("approve", digest, slack=other)).code == 200
        wait_until(lambda: desk.decided, "it was decided")
        assert desk.buttons.stop(10)
        assert other.answered == []
    assert desk.state(digest) is ApprovalState.APPROVED


def test_without_the_secret_that_signs_there_is_no_such_address(place: Place, there: Slack) -> None:
    desk = Desk(place, there)
    desk.context = Context(desk.context.settings, desk.context.inventory, desk.context.state, Secrets())
    assert desk.buttons.routes() == []
    desk.store.close()


def test_times_are_told_in_utc(desk: Desk) -> None:
    assert NOON.tzinfo is UTC
    assert f"at {datetime.strftime(NOON, '%Y-%m-%d %H:%M')} UTC" in json.dumps(desk.press("approve", asked(desk)))
