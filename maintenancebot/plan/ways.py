"""What each way offers to free on one file system: an object, how it goes, and what that frees. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from maintenancebot.model import Action, Change, Json, Undo
from maintenancebot.plan import trash
from maintenancebot.plan.document import make_change
from maintenancebot.settings import Settings, Way

TASK = "remediate_disk"
RECORD_BYTES = 2 * 4096
RECORD_INODES = 2
"""An item's folder and its record."""

PACKED = re.compile(r"\.(gz|xz|zst|bz2|lz4|lzma|Z|tgz|zip|rpm|deb|jpg|jpeg|png|mp4)$")
"""Compressed already: to compress it again frees nothing."""

NOTES = {
    Way.COMPRESSED: "compressed in the trash; what that frees is an estimate",
    Way.ELSEWHERE: "to the trash on another file system",
    Way.OFFLOADED: "to the object store",
}


class Item(trash.Item, Protocol):
    """An item of a host's trash and where it lies."""

    @property
    def form(self) -> str: ...
    @property
    def dev(self) -> int: ...


@dataclass(frozen=True)
class Stock:
    """All that may be touched on one file system."""

    host: str
    dev: int
    cleanup: Sequence[Change]  # what a cleanup of all allowed patterns would do, anywhere
    items: Sequence[Item]  # the host's whole trash
    settings: Settings
    at: datetime


@dataclass(frozen=True)
class Row:
    """One object, one way, and what that frees."""

    way: Way
    thing: str  # the object, whichever way it goes
    change: Change
    bytes: int  # what it frees for sure
    inodes: int  # negative: it takes some

    @property
    def weight(self) -> tuple[int, int]:
        """Objects and bytes that it counts against the caps."""
        counts = self.change.action in (Action.QUARANTINE_FILE, Action.PURGE_ITEM, Action.VACUUM_JOURNAL)
        return (1, int(self.change.object["size"])) if counts else (0, 0)


def rows(way: Way, stock: Stock) -> list[Row]:
    """What a way offers, in the order in which it is to be taken."""
    return list(_OFFERS[way](stock))


def _caches(stock: Stock) -> Iterable[Row]:
    return _as_it_is(Way.PACKAGE_CACHE, Action.DROP_PACKAGE_CACHE, stock)


def _journals(stock: Stock) -> Iterable[Row]:
    return _as_it_is(Way.JOURNAL, Action.VACUUM_JOURNAL, stock)


def _compressed(stock: Stock) -> Iterable[Row]:
    for item in _held(stock):
        if item.form == "file" and not PACKED.search(item.path):
            yield _relocate(stock, item, Way.COMPRESSED, 0)
    for change in _files(stock):
        if not PACKED.search(change.name):
            yield _take(stock, change, Way.COMPRESSED, -RECORD_INODES)


def _elsewhere(stock: Stock) -> Iterable[Row]:
    for item in _held(stock):
        yield _relocate(stock, item, Way.ELSEWHERE, 1 + RECORD_INODES)
    for change in _files(stock):
        yield _take(stock, change, Way.ELSEWHERE, 1)


def _offloaded(stock: Stock) -> Iterable[Row]:
    for item in _held(stock):
        yield _relocate(stock, item, Way.OFFLOADED, 1)
    for change in _files(stock):
        yield _take(stock, change, Way.OFFLOADED, 1 - RECORD_INODES)


def _purge(stock: Stock) -> Iterable[Row]:
    before = stock.at - timedelta(days=stock.settings.deletion.minimum_days)
    old = [item for item in _held(stock) if item.quarantined_at is not None and item.quarantined_at <= before]
    for item in sorted(old, key=lambda item: (item.quarantined_at, item.id)):
        change = _by(trash.purge_change(stock.host, TASK, item), Way.PURGE)
        yield Row(Way.PURGE, f"item {item.id}", change, item.stored_bytes + RECORD_BYTES, 1 + RECORD_INODES)


_OFFERS: Mapping[Way, Callable[[Stock], Iterable[Row]]] = {
    Way.PACKAGE_CACHE: _caches,
    Way.JOURNAL: _journals,
    Way.COMPRESSED: _compressed,
    Way.ELSEWHERE: _elsewhere,
    Way.OFFLOADED: _offloaded,
    Way.PURGE: _purge,
}


def _as_it_is(way: Way, action: Action, stock: Stock) -> Iterable[Row]:
    """What its owner makes again, or may lose: as cleanup would do it."""
    for change in _there(stock, action):
        freed = int(change.effect["freed_now"])
        yield Row(way, f"{action} {change.name}", _by(change, way), freed, len(change.object["files"]))


def _there(stock: Stock, action: Action) -> list[Change]:
    """What cleanup would do so on this file system."""
    return [one for one in stock.cleanup if one.action is action and one.object.get("dev") == stock.dev]


def _held(stock: Stock) -> list[Item]:
    """Items whose bytes lie on this file system, the largest first, so that few are touched."""
    held = [one for one in stock.items if one.dev == stock.dev and one.state in trash.HELD and not one.offload]
    return sorted(held, key=lambda item: (-item.stored_bytes, item.id))


def _files(stock: Stock) -> list[Change]:
    """Old files on this file system, the largest first; a link frees nothing."""
    found = [change for change in _there(stock, Action.QUARANTINE_FILE) if "link" not in change.object]
    return sorted(found, key=lambda change: (-_allocated(change), change.name))


def _allocated(change: Change) -> int:
    return int(change.effect["freed_at_purge"])


def _take(stock: Stock, change: Change, way: Way, inodes: int) -> Row:
    """A file that is taken away and kept that way."""
    sure, effect = _freed(way, _allocated(change))
    taken = make_change(
        stock.host,
        TASK,
        change.action,
        name=change.name,
        identity={**change.object, "keep": way.value},
        undo=Undo.TRASH,
        effect=effect,
        note=NOTES[way],
    )
    records = 0 if way is Way.ELSEWHERE else RECORD_BYTES
    return Row(way, f"file {change.name}", taken, sure - records, inodes)


def _relocate(stock: Stock, item: Item, way: Way, inodes: int) -> Row:
    """An item of the trash that is kept that way from now on."""
    sure, effect = _freed(way, item.stored_bytes)
    sure += RECORD_BYTES if way is Way.ELSEWHERE else 0  # elsewhere has its record too
    change = make_change(
        stock.host,
        TASK,
        Action.RELOCATE_ITEM,
        name=item.path,
        identity={**trash.identity(item), "into": way.value},
        undo=Undo.TRASH,
        effect=effect,
        note=NOTES[way],
    )
    return Row(way, f"item {item.id}", change, sure, inodes)


def _freed(way: Way, allocated: int) -> tuple[int, dict[str, Json]]:
    """What it frees for sure, and what is expected: a third stays of what is compressed, half at the most."""
    if way is Way.COMPRESSED:
        left = allocated // 3
        effect = {"freed_now": allocated - left, "freed_at_purge": left, "estimate": True, "way": way.value}
        return allocated // 2, effect
    return allocated, {"freed_now": allocated, "freed_at_purge": 0, "way": way.value}


def _by(change: Change, way: Way) -> Change:
    return replace(change, effect={**change.effect, "way": way.value})
