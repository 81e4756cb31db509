"""What the daemon's duties do at each look beside the schedule."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from maintenancebot.app.context import Context
from maintenancebot.daemon.duties import Duties
from maintenancebot.daemon.troubles import Troubles
from maintenancebot.daemon.vitals import Vitals
from maintenancebot.engine import results
from maintenancebot.inventory import load_both
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
