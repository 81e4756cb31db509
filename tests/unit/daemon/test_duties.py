"""What the daemon's duties do at each look beside the schedule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from maintenancebot.app import episodes
from maintenancebot.app.context import Context
from maintenancebot.daemon.dead_man import DeadMan
from maintenancebot.daemon.duties import Duties, Ended, _looks
from maintenancebot.daemon.schedule import Claim
from maintenancebot.daemon.troubles import Troubles
from maintenancebot.daemon.vitals import Vitals
from maintenancebot.engine import results
from maintenancebot.engine.progress import Silent
from maintenancebot.inventory import load_both
from maintenancebot.model import Reason, State
from maintenancebot.settings import Notify, Slack
from maintenancebot.store import Store
from tests.unit.places import Place

AT = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with Store.open(place.state_dir, create=True) as opened:
        yield opened


def context(place: Place, *hosts: str) -> Context:
    place.configure({"name": "certificate_check", "type": "monitor", "check": "certificate_expiry_days > 30"})
    place.list_hosts(*hosts)
    return Context(*load_both(place.config, place.inventory), place.state_dir)


def test_results_of_hosts_that_left_the_inventory_go_with_the_next_look(place: Place, store: Store) -> None:
    holds = [context(place, "web-1", "web-2")]
    for name in ("web-1", "web-2", "web-3"):
        store.memories.keep(name, results.KIND, {"certificate_check": {"state": "done"}}, at=AT)
    duties = Duties(lambda: holds[-1], lambda: None, store, Vitals(), Troubles())
    duties._tick()
    assert set(store.memories.everywhere(results.KIND)) == {"web-1", "web-2"}
    holds.append(context(place, "web-2"))
    duties._tick()
    assert set(store.memories.everywhere(results.KIND)) == {"web-2"}


def test_who_fails_at_each_look_at_the_alerts_is_not_ready(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[str]:
        raise KeyError("a fault of ours")

    holds, troubles = context(place, "web-1"), Troubles()
    duties = Duties(lambda: holds, lambda: None, store, Vitals(), troubles)
    assert _looks(troubles).ok
    monkeypatch.setattr(episodes, "take_up", fail)
    duties._alerts._once()
    assert not _looks(troubles).ok
    assert [cause.name for cause in duties._ready() if not cause.ok and cause.name == "looks"] == ["looks"]
    monkeypatch.undo()
    duties._alerts._once()
    assert _looks(troubles).ok


@pytest.mark.parametrize(
    ("ended", "number"),
    [
        ((State.DONE, Reason.NONE, ""), 1),
        ((State.NOTHING, Reason.NONE, ""), 1),
        ((State.FAILED, Reason.NONE, ""), 0),
        ((State.SKIPPED, Reason.BUSY, "another run is at work"), 0),
        ((State.DONE, Reason.INTERRUPTED, ""), 0),
    ],
)
def test_only_a_cycle_that_went_to_its_end_is_told_to_the_dead_mans_switch(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch, ended: Ended, number: int
) -> None:
    told: list[None] = []
    monkeypatch.setattr(DeadMan, "after_cycle", lambda self: told.append(None))
    monkeypatch.setattr(Duties, "_outcome", lambda self, claim, progress: ended)
    holds = context(place, "web-1")
    duties = Duties(lambda: holds, lambda: None, store, Vitals(), Troubles())
    duties._run(Claim("cycle", 0, "run-1"), Silent())
    assert len(told) == number


def test_a_target_that_cannot_be_told_is_a_trouble_until_it_can(place: Place, store: Store) -> None:
    holds, troubles = [context(place, "web-1")], Troubles()
    duties = Duties(lambda: holds[-1], lambda: None, store, Vitals(), troubles)
    store.messages.put("a", "escalated", {"host": "web-1"}, at=AT)
    hook = {"webhook": {"url": "http://127.0.0.1:1/nobody"}}
    settings = holds[0].settings
    told = settings.model_copy(update={"slack": Slack(channel="C1"), "notify": Notify.model_validate(hook)})
    holds.append(replace(holds[0], settings=told))
    duties._deliver()
    assert "slack_token" in troubles.known()["targets"]
    assert "cannot be reached" in troubles.known()["messages to webhook"]
    assert len(store.messages.waiting(10)) == 1
    holds.append(holds[0])
    duties._deliver()
    assert troubles.known() == {}
    assert store.messages.waiting(10) == []
