"""The sources of an inventory: asked when it is loaded, their last good answers kept in the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from maintenancebot.errors import UsageError
from maintenancebot.inventory import Ask, Inventory
from maintenancebot.inventory_sources import AnySource
from maintenancebot.model import Json
from maintenancebot.settings import Settings
from maintenancebot.sources.gathering import FLEET, KIND, Answers, gather, named, remembered
from maintenancebot.sources.reading import read
from maintenancebot.store import Store


def asker(settings: Settings, state: Path, now: datetime) -> Ask:
    """What asks sources, with the last good answers that the state remembers; only reads the state."""

    def ask(sources: Sequence[AnySource]) -> Answers:
        return gather(sources, read, _known(settings, state), now)

    return ask


def remember(inventory: Inventory, store: Store, now: datetime) -> None:
    """Keep the good answers of this inventory's sources; raises StoreError."""
    if inventory.answers:
        store.memories.keep(FLEET, KIND, inventory.answers, at=now)


def accept(inventory: Inventory, name: str, store: Store, now: datetime) -> int:
    """Take what a source lists now as its good answer, however little; returns how many hosts. Raises UsageError."""
    source = dict(named(inventory.sources)).get(name)
    if source is None:
        known = ", ".join(dict(named(inventory.sources))) or "none"
        raise UsageError(f"the inventory has no source {name!r}; there are: {known}")
    try:
        listing = read(source)
    except Exception as error:  # a plugin may raise anything
        raise UsageError(f"source {name} gives no answer to accept: {error}") from error
    rows = {**store.memories.read(FLEET, KIND), name: remembered(source, listing, now)}
    store.memories.keep(FLEET, KIND, rows, at=now)
    return len(listing.hosts)


def _known(settings: Settings, state: Path) -> Mapping[str, Json]:
    store = Store.open_readonly(state, url=settings.store.url, kill_switch=settings.guards.kill_switch_file)
    with closing(store):
        return store.memories.read(FLEET, KIND)
