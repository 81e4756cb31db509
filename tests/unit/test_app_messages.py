"""People are told: each thing once at each target, whatever the target does, and no secret with it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from maintenancebot import app
from maintenancebot.app import messages
from maintenancebot.app.context import Context
from maintenancebot.app.scrubbing import scrubbed
from maintenancebot.app.targets import missing, targets
from maintenancebot.delivery.log import Log
from maintenancebot.delivery.parcel import Attempt, Fate, Parcel, Target
from maintenancebot.errors import StoreError
from maintenancebot.settings import Secrets
from tests.lab.tools import wait_until
from tests.unit.places import Place

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = Attempt(Fate.LATER, "not now")
TASK = {"name": "certificate_check", "type": "monitor", "check": "certificate_expiry_days > 30"}
DIGEST = "0123456789abcdef" * 4


@dataclass
class Clock:
    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, **span: float) -> None:
        self.at += timedelta(**span)


@dataclass
class Box:
    """A target that answers what it is told to, in the end that all is well."""

    name: str = "slack"
    answers: list[Attempt | Callable[[], Attempt]] = field(default_factory=list)
    got: list[Parcel] = field(default_factory=list)

    def send(self, parcel: Parcel) -> Attempt:
        self.got.append(parcel)
        answer = self.answers.pop(0) if self.answers else Attempt(Fate.SENT)
        return answer if isinstance(answer, Attempt) else answer()


class Desk:
    """A context with the targets of a test."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        place.configure(TASK)
        place.list_hosts("web-1")
        loaded = app.load(place)
        self.context = Context(loaded.settings, loaded.inventory, loaded.state, Secrets(slack_token="xoxb-our-token"))
        self.store = self.context.store()
        self.targets: list[Target] = [Log()]
        monkeypatch.setattr(messages, "now", self.clock)
        monkeypatch.setattr(messages, "targets", lambda _: tuple(self.targets))

    def put(self, key: str, kind: str = "escalated", **body: object) -> None:
        self.store.messages.put(key, kind, {"host": "web-1", **body}, at=self.clock())

    def deliver(self, seconds: float = 10) -> dict[str, str]:
        return messages.deliver(self.context, self.store, seconds=seconds, logs=True)


@pytest.fixture
def desk(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    made = Desk(place, monkeypatch)
    yield made
    made.store.close()


@pytest.fixture
def box(desk: Desk) -> Box:
    desk.targets.append(made := Box())
    return made


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.action for record in caplog.records if hasattr(record, "action")]


def test_without_any_target_a_message_is_one_line_of_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.put("a", name="no name of a record", message="x")
    desk.put("b", "healed")
    desk.put("c", "summary", facts={"week": "2026-W47", "state": "failed", "headline": "1 failed", "hosts": [1]})
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            assert desk.deliver() == {}
    assert [(r.levelno, r.action) for r in caplog.records] == [
        (logging.WARNING, "escalated"),
        (logging.INFO, "healed"),
        (logging.INFO, "summary"),
    ]
    assert (caplog.records[0].host, caplog.records[0].name_) == ("web-1", "no name of a record")
    assert (caplog.records[2].headline, hasattr(caplog.records[2], "hosts")) == ("1 failed", False)
    assert desk.store.messages.waiting(10) == []


def test_each_target_is_told_once_and_in_order(desk: Desk, box: Box) -> None:
    desk.targets.append(other := Box("email"))
    desk.put("a")
    desk.put("b")
    for _ in range(3):
        desk.deliver()
    assert [one.key for one in box.got] == [one.key for one in other.got] == ["a", "b"]
    assert desk.store.messages.waiting(10) == []


def test_a_command_leaves_the_log_to_the_daemon(desk: Desk, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    desk.put("a")
    messages.deliver(desk.context, desk.store)
    assert (len(box.got), "escalated" in actions(caplog)) == (1, False)
    desk.deliver()
    assert (len(box.got), actions(caplog).count("escalated")) == (1, 1)


def test_a_target_that_wants_no_rest_is_left_alone_all_the_same(desk: Desk, box: Box) -> None:
    """`Retry-After: 0` to every try, of which there would be hundreds in a second."""
    box.answers = [Attempt(Fate.LATER, "429", 0.0)] * 50
    desk.put("a")
    for _ in range(3):
        desk.deliver()
    assert len(box.got) == 1
    desk.clock.go_on(seconds=15)
    desk.deliver()
    assert len(box.got) == 2


def test_what_is_not_taken_waits_longer_each_time_and_holds_nobody_else_up(desk: Desk, box: Box) -> None:
    desk.targets.append(other := Box("email"))
    box.answers = [LATER] * 3
    desk.put("a")
    assert desk.deliver() == {"slack": "not now"}
    assert len(other.got) == 1
    for pause in (15, 30, 60):
        desk.clock.go_on(seconds=pause - 1)
        desk.deliver()
        assert len(box.got) < 5
        desk.clock.go_on(seconds=1)
        desk.deliver()
    assert [one.tries for one in box.got] == [0, 1, 2, 3]
    assert desk.deliver() == {}
    assert desk.store.messages.waiting(10) == []


def test_a_target_is_left_alone_for_as_long_as_it_wants(desk: Desk, box: Box) -> None:
    box.answers = [Attempt(Fate.LATER, "429", 600)]
    desk.put("a")
    desk.put("b")
    desk.deliver()
    desk.clock.go_on(seconds=599)
    desk.deliver()
    assert len(box.got) == 1
    desk.clock.go_on(seconds=1)
    desk.deliver()
    assert sorted(one.key for one in box.got) == ["a", "a", "b"]


def test_what_may_be_there_is_told_to_the_target_as_such(desk: Desk, box: Box) -> None:
    box.answers = [Attempt(Fate.UNCLEAR, "no answer", reference={"ts": "1"})]
    desk.put("a")
    desk.deliver()
    desk.clock.go_on(minutes=1)
    desk.deliver()
    assert [(one.is_unclear, dict(one.reference)) for one in box.got] == [(False, {}), (True, {"ts": "1"})]


@pytest.mark.parametrize(
    ("fate", "action"), [(Fate.LOST, "message_lost"), (Fate.REFUSED, "message_given_up"), (Fate.SENT, "message_sent")]
)
def test_each_end_has_its_token_and_nothing_is_sent_again(
    fate: Fate, action: str, desk: Desk, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.answers = [Attempt(fate, "so it is")]
    desk.put("a")
    with caplog.at_level(logging.INFO):
        desk.deliver()
    desk.clock.go_on(days=1)
    assert desk.deliver() == {}
    assert len(box.got) == 1
    assert action in actions(caplog)
    assert desk.store.messages.waiting(10) == []


def test_what_nobody_takes_for_days_is_given_up_and_stands_in_the_log(
    desk: Desk, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    box.answers = [LATER] * 1000
    desk.put("a")
    while not actions(caplog).count("message_given_up"):
        desk.deliver()
        desk.clock.go_on(minutes=30)
        assert desk.clock() < NOON + timedelta(days=4)
    assert desk.clock() > NOON + timedelta(days=3)
    assert len(box.got) < 160
    assert desk.store.messages.waiting(10) == []


def test_a_fault_of_ours_is_no_success_and_no_copy(desk: Desk, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> Attempt:
        raise KeyError("of ours")

    box.answers = [fail]
    desk.put("a")
    assert desk.deliver() == {"slack": "a fault of ours: KeyError"}
    desk.clock.go_on(minutes=1)
    desk.deliver()
    assert [one.is_unclear for one in box.got] == [False, True]
    assert "fault" in actions(caplog)


def test_nothing_is_sent_that_cannot_be_written_down(desk: Desk, box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    desk.put("a")
    monkeypatch.setattr(desk.store.deliveries, "claim", fail)
    assert desk.deliver() == {"log": "the disk is full", "slack": "the disk is full"}
    assert box.got == []


def test_a_target_that_hangs_is_not_waited_for_and_not_told_twice(desk: Desk, box: Box) -> None:
    goes_on = threading.Event()

    def hang() -> Attempt:
        goes_on.wait(30)
        return Attempt(Fate.SENT)

    box.answers = [hang]
    desk.targets.append(other := Box("email"))
    desk.put("a")
    began = time.monotonic()
    for _ in range(3):
        desk.deliver(seconds=0.05)
    assert time.monotonic() - began < 5
    wait_until(lambda: box.got and other.got, "both are told")
    assert (len(box.got), len(other.got)) == (1, 1)
    goes_on.set()
    wait_until(lambda: not messages._busy, "the target answered")
    desk.deliver()
    assert len(box.got) == 1
    assert desk.store.messages.waiting(10) == []


def test_secrets_are_in_no_message_no_log_and_no_row(desk: Desk, box: Box, caplog: pytest.LogCaptureFixture) -> None:
    box.answers = [Attempt(Fate.LATER, "the server said xoxb-our-token")]
    planted = ["postgres://app:hunter2-pw@db/app", "AKIAIOSFODNN7EXAMPLE", "Authorization: Bearer abcdef0123456789xyz"]
    desk.put("a", lines=planted, xs={"password=hunter2-pw": "xoxb-our-token"})
    desk.deliver()
    desk.clock.go_on(minutes=1)
    desk.deliver()
    with desk.store._database.read() as connection:
        rows = str(connection.exec_driver_sql("SELECT * FROM deliveries").all())
    told = "".join([rows, *(str(one.body) for one in box.got), *(str(vars(record)) for record in caplog.records)])
    for secret in ("hunter2-pw", "IOSFODNN7", "abcdef0123456789xyz", "xoxb-our-token"):
        assert secret not in told


def test_a_digest_by_which_a_plan_is_approved_stays() -> None:
    assert scrubbed({"digest": DIGEST, "plans": [{"digest": DIGEST}]}, ()) == {
        "digest": DIGEST,
        "plans": [{"digest": DIGEST}],
    }
    assert scrubbed({"digest": "password=hunter2-pw"}, ())["digest"] != "password=hunter2-pw"


def names(context: Context) -> Sequence[str]:
    return [type(target).__name__ for target in targets(context)]


@pytest.mark.parametrize(
    ("slack", "secrets", "found", "words"),
    [
        (None, Secrets(), ["Log"], ""),
        ({"channel": "C1"}, Secrets(), ["Log"], "give the secret"),
        ({}, Secrets(slack_token="xoxb-1"), ["Log"], "`slack.channel` is missing"),
        ({"channel": "C1"}, Secrets(slack_token="xoxb-1"), ["Log", "SlackApi"], ""),
        ({"channel": "C1"}, Secrets(slack_webhook_url="https://x/y"), ["Log", "SlackWebhook"], ""),
        (None, Secrets(slack_webhook_url="https://x/y"), ["Log", "SlackWebhook"], ""),
        (None, Secrets(slack_webhook_url="http://x/y"), ["Log"], "`slack_webhook_url` is no address"),
        (None, Secrets(slack_webhook_url="https://[x/y"), ["Log"], "`slack_webhook_url` is no address"),
        ({"channel": "C1"}, Secrets(slack_token="t", slack_webhook_url="https://x/y"), ["Log", "SlackApi"], ""),
    ],
)
def test_who_is_told_follows_from_configuration_and_secrets(
    slack: dict[str, str] | None, secrets: Secrets, found: list[str], words: str, place: Place
) -> None:
    email = {"host": "127.0.0.1", "security": "none", "sender": "a@b", "to": ["c@d"]}
    notify = {"email": email, "webhook": {"url": "http://127.0.0.1:1/x"}}
    place.configure(TASK, notify=notify, **({"slack": slack} if slack is not None else {}))
    place.list_hosts("web-1")
    loaded = app.load(place)
    context = Context(loaded.settings, loaded.inventory, loaded.state, secrets)
    assert names(context) == [*found, "Mailbox", "Webhook"]
    assert words in missing(context)
    assert bool(missing(context)) == bool(words)
