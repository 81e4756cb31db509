"""Who is asked, and what happens where nobody is: as without a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from maintenancebot.app import llm
from maintenancebot.app.context import Context
from maintenancebot.inventory import load_both
from maintenancebot.plan.filesystem import Disk, Measure
from maintenancebot.settings import Llm, Secrets, Way
from maintenancebot.store import Store
from maintenancebot.store.episodes import Telling
from tests.fakes.anthropic import KEY, Fake, endpoint
from tests.unit.places import Place

DISK = Disk("/srv", "ext4", Measure(1, 1000, 950, 50, 95, 100, 10, 90, 10))
TELLING = Telling(
    "k", "escalated", {"host": "db-2", "subject": "/srv", "detail": "/srv: 95 %, the target is below 80 %"}
)


@pytest.fixture
def fake() -> Iterator[Fake]:
    with endpoint() as listening:
        yield listening


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "of-model", create=True) as opened:
        yield opened


def context(place: Place, section: Any = None, key: str = KEY) -> Context:
    place.configure({"name": "certificates", "type": "monitor", "check": "certificate_expiry_days > 30"})
    place.list_hosts("db-2")
    settings, inventory = load_both(place.config, place.inventory)
    rules = Llm(**section) if section is not None else None
    return Context(settings.model_copy(update={"llm": rules}), inventory, place.state_dir, Secrets(llm_api_key=key))


def test_nobody_is_asked_without_the_section_or_the_key(place: Place, store: Store) -> None:
    assert llm.asker(context(place), store) is None
    assert llm.asker(context(place, {}, key=""), store) is None
    assert llm.asker(context(place, {}), store) is not None


def test_nobody_orders_the_ways_unless_that_is_switched_on(place: Place, store: Store) -> None:
    assert llm.ranking(context(place, {}), store) is None
    assert llm.ranking(context(place, {"rank": True}, key=""), store) is None
    assert llm.ranking(context(place, {"rank": True}), store) is not None


def test_an_escalation_has_the_models_words_where_they_are_true(place: Place, store: Store, fake: Fake) -> None:
    words = "/srv on db-2 stands at 95 % and failed the target of 80 %."
    fake.answering = lambda _: {"text": words}
    told = llm.diagnosed(context(place, {"base_url": fake.address}), store, TELLING)
    assert told.body == {**TELLING.body, "diagnosis": words}


def test_an_escalation_is_told_as_it_is_where_they_are_not(place: Place, store: Store, fake: Fake) -> None:
    fake.answering = lambda _: {"text": "All 48 hosts are healthy again."}
    assert llm.diagnosed(context(place, {"base_url": fake.address}), store, TELLING) == TELLING
    assert llm.diagnosed(context(place), store, TELLING) == TELLING


def test_the_order_of_the_ways_is_the_models(place: Place, store: Store, fake: Fake) -> None:
    fake.answering = lambda _: {"order": ["journal", "package_cache", "rm -rf /"], "because": ""}
    ranking = llm.ranking(context(place, {"base_url": fake.address, "rank": True}), store)
    assert ranking is not None
    assert ranking.order([Way.PACKAGE_CACHE, Way.JOURNAL], DISK) == [Way.JOURNAL, Way.PACKAGE_CACHE]
