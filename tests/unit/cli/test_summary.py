"""`summary` on the command line."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner, Result

from maintenancebot.app import messages
from maintenancebot.app.summary import post_in
from maintenancebot.cli.options import Options
from maintenancebot.cli.summary import summary_command
from maintenancebot.errors import UsageError
from maintenancebot.model import Reason, State
from maintenancebot.store import Store
from tests.unit.places import Place
from tests.unit.report.examples import host, package, patches
from tests.unit.weeks import MONDAY, SUNDAY, THIS, WEEK, Fleet, backups


@pytest.fixture
def site(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    for module in (sys.modules[post_in.__module__], messages):
        monkeypatch.setattr(module, "now", lambda: MONDAY)
    with Store.open(place.state_dir, create=True) as store:
        fleet = Fleet(place, store)
        fleet.context("web-1", "web-2")
        done = backups(state=State.DONE, reason=Reason.FRESH)
        fleet.ran(host("web-1", patches(package("openssl=3"))), host("web-2", done))
    return place


def summary(place: Place, *arguments: str) -> Result:
    options = Options(config=place.config, inventory=place.inventory, state_dir=place.state_dir)
    return CliRunner().invoke(summary_command, arguments, obj=options)


def test_without_options_the_week_is_told_and_nothing_is_written(site: Place) -> None:
    before = site.snapshot()
    said = summary(site)
    assert said.exit_code == 0, said.output
    assert said.output.startswith(
        f"MaintenanceBot, {THIS} (16 Nov to 22 Nov 2026, Europe/Berlin)\n\ndone: 2 hosts, 2 well;"
    )
    assert "packages upgraded: 1" in said.output
    assert site.snapshot() == before


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json", "slack"])
def test_every_form_names_the_hosts(site: Place, form: str) -> None:
    said = summary(site, "--format", form)
    assert said.exit_code == 0, said.output
    assert "web-1" in said.output.replace("\\-", "-")
    if form in ("json", "slack"):
        json.loads(said.output)


def test_the_worst_state_decides_the_exit_code(site: Place) -> None:
    with Store.open(site.state_dir, create=True) as store:
        Fleet(site, store).ran(
            host("web-1", backups(state=State.FAILED, reason=Reason.STALE)), at=SUNDAY.replace(hour=5)
        )
    assert summary(site).exit_code == 1


def test_a_week_that_is_named_is_told(site: Place) -> None:
    said = summary(site, "--week", "2026-W45", "--format", "json")
    assert json.loads(said.output)["week"] == "2026-W45"
    assert said.exit_code == 1  # nobody looked


def test_what_is_no_week_is_a_usage_error(site: Place) -> None:
    assert isinstance(summary(site, "--week", "last").exception, UsageError)


@pytest.mark.parametrize("post", [(), ("--post",)])
def test_a_week_to_come_is_a_usage_error_and_is_not_posted(site: Place, post: tuple[str, ...]) -> None:
    said = summary(site, "--week", "2026-W49", *post)
    assert isinstance(said.exception, UsageError)
    assert str(said.exception) == "the week 2026-W49 has not begun; the one at hand is 2026-W48"
    with Store.open(site.state_dir, create=True) as store:
        assert store.messages.waiting(10) == []


def test_who_has_just_begun_gets_the_week_at_hand(site: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[post_in.__module__]
    monkeypatch.setattr(module, "now", lambda: SUNDAY - WEEK)  # nothing ran before then
    assert json.loads(summary(site, "--format", "json").output)["week"] == "2026-W46"
    monkeypatch.setattr(module, "now", lambda: SUNDAY + WEEK / 7 * 10)
    assert json.loads(summary(site, "--format", "json").output)["week"] == "2026-W49"


def test_it_is_posted_once(site: Place) -> None:
    first, second = summary(site, "--post"), summary(site, "--post")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "was posted before" not in first.output
    assert "nobody is told" in first.stderr
    assert f"the summary of {THIS} was posted before; it is not posted again" in second.output
    with Store.open(site.state_dir, create=True) as store:
        stored = store.summaries.get(THIS)
        assert stored is not None
        assert [message.key for message in store.messages.latest("summary")] == [f"summary:{THIS}"]
        store.reviews.record(THIS, "ann", at=MONDAY)
    shown = summary(site, "--format", "json")
    assert json.loads(shown.stdout)["posted_at"] == stored.made_at.isoformat()
    assert "ann has reviewed it, 2026-11-23 08:00 UTC" in shown.stderr


def test_what_was_posted_is_what_is_shown(site: Place) -> None:
    summary(site, "--post")
    with Store.open(site.state_dir, create=True) as store:
        Fleet(site, store).ran(
            host("web-1", backups(state=State.FAILED, reason=Reason.STALE)), at=SUNDAY.replace(hour=5)
        )
    assert summary(site).exit_code == 0
