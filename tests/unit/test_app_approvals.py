"""A plan that waits is told of once, approved by its button in Slack, and then exactly it is made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from maintenancebot import app
from maintenancebot.app import presses
from maintenancebot.app.presses import Press
from maintenancebot.engine.progress import Silent
from maintenancebot.model import Report, State
from tests.fakes import slack
from tests.fakes.slack import Slack
from tests.unit.engine.boxes import Box, cleanup, clock
from tests.unit.places import Place


@pytest.fixture
def there(boxes: dict[str, Box], place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    """A Slack that is told by a bot whose tasks need an approval."""
    with slack.serving() as server:
        by_bot = {"channel": slack.CHANNEL, "base_url": server.base_url, "approvers": {"U0001": "anna"}}
        place.configure({**cleanup(), "approval": "required"}, slack=by_bot)
        monkeypatch.setenv("MAINTENANCEBOT_SLACK_TOKEN", slack.TOKEN)
        monkeypatch.setattr(presses, "now", clock)
        yield server


def run(place: Place) -> Report:
    return app.run(place, progress=Silent(), stop=threading.Event())


def states(report: Report) -> set[State]:
    return {task.state for host in report.hosts for task in host.tasks}


def buttons(there: Slack) -> dict[str, Any]:
    """The values of the buttons of the one message, by what they do."""
    (posted,) = there.posted
    return {
        one["action_id"]: one["value"] for block in posted.blocks for one in block.get("elements", ()) if "value" in one
    }


def press(action: str, value: str, place: Place) -> str:
    context = app.load(place)
    with context.store() as store:
        return presses.act(Press(action, value, "U0001", "anna", "1.1", ""), context, store).text


def test_a_plan_is_told_of_once_and_made_after_its_button_was_pressed(place: Place, there: Slack) -> None:
    for _ in range(2):
        assert states(run(place)) == {State.WAITING}
    found = buttons(there)
    assert set(found) == {"approve", "deny"}
    assert all(word in there.posted[0].words for word in ("web-1", "web-2", "/var/log/app/1.log", "6 changes wait"))
    assert press("approve", found["approve"], place).startswith("Approved by anna at ")
    assert states(run(place)) == {State.DONE}
    assert len(there.posted) == 1


def test_a_plan_that_was_denied_is_not_made(place: Place, there: Slack) -> None:
    run(place)
    press("deny", buttons(there)["deny"], place)
    assert states(run(place)) == {State.WAITING}


def test_a_slack_that_fails_changes_nothing_about_a_run(place: Place, there: Slack) -> None:
    there.next = [500, slack.HALF]
    assert states(run(place)) == {State.WAITING}
    assert there.posted == []
    with app.state(place) as store:
        assert [one.kind for one in store.messages.waiting(10)] == ["approval"]
