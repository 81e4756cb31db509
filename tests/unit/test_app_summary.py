"""A week is told once, on time, whatever the model does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from maintenancebot.app import worded
from maintenancebot.app.context import Context
from maintenancebot.app.summary import post_in, post_summary, summary
from maintenancebot.cli.options import Options
from maintenancebot.model import Reason
from maintenancebot.report.week_json import week_from_json
from maintenancebot.store import Store
from maintenancebot.store.messages import Message
from tests.unit.places import Place
from tests.unit.report.examples import host, package, patches
from tests.unit.weeks import MONDAY, SUNDAY, THIS, WEEK, Fleet

DUE = datetime(2026, 11, 23, 7, tzinfo=UTC)  # 08:00 in Berlin


@pytest.fixture
def fleet(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setattr(sys.modules[post_in.__module__], "now", lambda: MONDAY)
    with Store.open(place.state_dir, create=True) as store:
        yield Fleet(place, store)


@pytest.fixture
def context(fleet: Fleet) -> Context:
    fleet.ran(host("web-1", patches(package("openssl=3"))))
    return fleet.context("web-1")


def messages(fleet: Fleet) -> list[Message]:
    return fleet.store.messages.waiting(10)


def says(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
    """A model that says this; returns the weeks that it was asked about."""
    asked: list[str] = []

    def word(facts: dict[str, str], asker: object) -> SimpleNamespace:
        asked.append(facts["week"])
        return SimpleNamespace(text=text, reason=Reason.NONE, detail="")

    monkeypatch.setattr(worded, "_model", lambda context, store: lambda facts: word(facts, None))
    return asked


def test_the_week_that_has_ended_is_told_once(fleet: Fleet, context: Context) -> None:
    assert post_in(context, fleet.store, DUE)
    assert not post_in(context, fleet.store, DUE)
    assert not post_in(context, fleet.store, DUE + timedelta(hours=5))
    (message,) = messages(fleet)
    assert (message.key, message.kind) == (f"summary:{THIS}", "summary")
    week = week_from_json(message.body["facts"])
    assert (week.week, week.figures["packages_upgraded"]) == (THIS, 1)
    stored = fleet.store.summaries.get(THIS)
    assert stored is not None
    assert stored.facts == message.body["facts"]


def test_without_a_model_the_facts_stand_alone(fleet: Fleet, context: Context) -> None:
    post_in(context, fleet.store, DUE)
    (message,) = messages(fleet)
    assert message.body["prose"] == {"text": "", "reason": "not_configured", "detail": ""}


def test_what_a_model_says_stands_beside_the_facts(
    fleet: Fleet, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = says(monkeypatch, "One package was upgraded.")
    post_in(context, fleet.store, DUE)
    post_in(context, fleet.store, DUE)
    (message,) = messages(fleet)
    assert message.body["prose"] == {"text": "One package was upgraded.", "reason": "", "detail": ""}
    assert asked == [THIS]


def test_a_model_that_hangs_makes_nobody_wait(fleet: Fleet, context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(worded, "SECONDS", 0.1)
    monkeypatch.setattr(worded, "_model", lambda context, store: lambda facts: over.wait(60))
    assert post_in(context, fleet.store, DUE)
    over.set()
    (message,) = messages(fleet)
    assert message.body["prose"]["text"] == ""
    assert message.body["prose"]["reason"] == "timeout"


def test_a_fault_on_the_way_to_the_model_costs_the_prose_alone(
    fleet: Fleet, context: Context, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(facts: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(worded, "_model", lambda context, store: fail)
    assert post_in(context, fleet.store, DUE)
    assert messages(fleet)[0].body["prose"] == {"text": "", "reason": "internal_error", "detail": "ZeroDivisionError"}
    assert "a fault of ours" in caplog.text


def test_a_week_at_hand_may_be_told_before_it_is_over_and_again_then(fleet: Fleet, context: Context) -> None:
    friday = DUE - timedelta(days=3)
    assert post_in(context, fleet.store, friday)
    assert not post_in(context, fleet.store, friday)
    assert fleet.store.summaries.get(THIS) is None
    assert post_in(context, fleet.store, DUE)
    assert [message.key for message in messages(fleet)] == [f"summary:{THIS}:20261120T070000Z", f"summary:{THIS}"]


def test_a_week_at_hand_is_shown_with_when_it_was_posted_and_its_words_while_they_fit(
    fleet: Fleet, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, "One package was upgraded.")
    friday = SUNDAY + timedelta(days=5)
    monkeypatch.setattr(sys.modules[post_in.__module__], "now", lambda: friday)
    fleet.ran(host("web-1", patches(package("curl=1"))), at=friday - timedelta(days=2))
    place = fleet.place
    options = Options(config=place.config, inventory=place.inventory, state_dir=place.state_dir)
    shown = summary(options)
    assert (shown.prose, shown.posted_at) == ("", None)
    posted = post_summary(options)
    shown = summary(options)
    assert (posted.prose, posted.posted_at) == (shown.prose, shown.posted_at) == ("One package was upgraded.", friday)
    fleet.store.reviews.record(shown.week.week, "anna", at=friday)
    fleet.ran(host("web-1", patches(package("zlib=1"))), at=friday - timedelta(hours=1))
    shown = summary(options)
    assert (shown.prose, shown.posted_at) == ("", friday)
    assert shown.notes == ("anna has reviewed it, 2026-11-27 03:00 UTC",)


def test_the_next_week_is_held_against_what_was_told(fleet: Fleet, context: Context) -> None:
    post_in(context, fleet.store, DUE)
    fleet.ran(host("web-1", patches(package("zlib=1"), package("curl=1"))), at=SUNDAY + WEEK)
    week = fleet.week("web-1", name="2026-W48", now=MONDAY + WEEK)
    assert (week.figures["packages_upgraded"], week.before["packages_upgraded"]) == (2, 1)


def test_two_daemons_tell_a_week_once(fleet: Fleet, context: Context) -> None:
    told: list[bool] = []
    threads = [threading.Thread(target=lambda: told.append(post_in(context, fleet.store, DUE))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [False, False, False, True]
    assert len(messages(fleet)) == 1
