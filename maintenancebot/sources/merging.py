"""Merges the hosts of all sources with those of the inventory file, by rules that docs/inventory.md states. Pure.

1. A host of the file stands above all sources, a source above those after it: what is said first counts, key by key.
2. Groups and labels are joined.
3. One machine is one host: a host of a source with the cloud id, or with the address and port, of a host from
   elsewhere is that host; its name becomes a note.
4. A way over bastions (ProxyJump) leads to hosts of those names; one that is none yet becomes a host that is looked
   at and never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maintenancebot.inventory_file import Entry, InventoryFile
from maintenancebot.model import Json
from maintenancebot.sources.gathering import Gathered

FILE = "the inventory file"
BASTIONS = "bastions"
HOP = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]\s]+\]|[^:@\s]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass
class Merged:
    """The hosts by name, who named each first, what stops changes on it, and what a person should know."""

    entries: dict[str, Entry] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    ways: dict[str, str] = field(default_factory=dict)
    _found: dict[Key, list[str]] = field(default_factory=dict)

    def take(self, name: str, entry: Entry, source: str, stale: str, way: str = "") -> str:
        """Add a host, or what a later source says of one that is there; returns its name. `way`: its bastions."""
        known = self._same(name, entry, source, way)
        if known is None:
            self.entries[name], self.sources[name], self.stale[name] = entry, source, stale
            self.ways[name] = way
            self._remember(name)
            return name
        if known != name:
            self.notes.append(f"{name} of {source} is {known} of {self.sources[known]}: one machine, one host")
        self.entries[known] = joined(self.entries[known], entry)
        self.ways[known] = self.ways[known] or way
        self._remember(known)
        return known

    def _same(self, name: str, entry: Entry, source: str, way: str) -> str | None:
        if name in self.entries:
            return name
        alike = (other for key in _keys(name, entry, way) for other in self._found.get(key, ()))
        return next((other for other in alike if self.sources[other] != source), None)

    def _remember(self, name: str) -> None:
        for key in _keys(name, self.entries[name], self.ways[name]):
            names = self._found.setdefault(key, [])
            if name not in names:
                names.append(name)


Key = tuple[str | int, ...]


def _keys(name: str, entry: Entry, way: str) -> Iterator[Key]:
    """By what a host is recognised; behind different bastions one private address is two machines."""
    if entry.cloud_id:
        yield "id", entry.cloud_id
    if entry.connection != "local":
        yield "address", entry.address or name, entry.port or 22, entry.via or way


def merge(file: InventoryFile, gathered: Sequence[Gathered]) -> Merged:
    """All hosts, those of the file first."""
    merged = Merged()
    for name, entry in file.hosts.items():
        merged.take(name, entry or Entry(), FILE, "")
    jumps: list[tuple[str, str, str]] = []
    for source in gathered:
        merged.notes += source.problems
        for listed in source.hosts:
            values = dict(listed.values)
            jump = str(values.pop("jump", "") or "")
            entry, fault = _entry(listed.name, values, (*listed.groups, *source.source.groups))
            if entry is None:
                merged.notes.append(f"source {source.name}: {listed.name!r} is left out: {fault}")
                continue
            merged.take(listed.name, entry, source.name, source.stale, jump)
            jumps += [(listed.name, jump, source.name)] if jump else []
    for name, jump, origin in jumps:
        if name in merged.entries and merged.entries[name].via is None:
            _lead_over(name, jump, origin, merged)
    return merged


def joined(first: Entry, later: Entry) -> Entry:
    """What both say of one host; where they differ, the first counts."""
    said = {**_said(later), **_said(first)}
    said["groups"] = tuple(dict.fromkeys((*first.groups, *later.groups)))
    said["labels"] = {**later.labels, **first.labels}
    return Entry(**said)


def _said(entry: Entry) -> dict[str, Json]:
    return {key: value for key in entry.model_fields_set if (value := getattr(entry, key)) is not None}


def _entry(name: str, values: Mapping[str, Json], groups: Iterable[str]) -> tuple[Entry | None, str]:
    """A listed host in the form of the file, or what is wrong with it: the rules of the file hold for all."""
    from pydantic import TypeAdapter, ValidationError

    from maintenancebot.inventory_file import HostName

    try:
        TypeAdapter(HostName).validate_python(name)
        return Entry.model_validate({**values, "groups": tuple(dict.fromkeys(groups))}), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        return None, f"{place}: {first['msg']}" if place else first["msg"]


def _lead_over(name: str, jump: str, origin: str, merged: Merged) -> None:
    """Set `via` along a chain of hops, the first of which is reached directly."""
    before: str | None = None
    for text in jump.split(","):
        hop = HOP.fullmatch(text.strip())
        before = _bastion(hop, before, origin, merged) if hop else None
        if before is None:
            _forget_way(name, f"the way over {text!r} cannot be read", origin, merged)
            return
    merged.entries[name] = joined(Entry(via=before), merged.entries[name])


def _forget_way(name: str, why: str, origin: str, merged: Merged) -> None:
    """Without its way a private address may be another machine's: such a host stays only where the file names it."""
    if merged.sources[name] == FILE:
        merged.notes.append(f"{name}: {why} in {origin}")
        return
    merged.notes.append(f"source {merged.sources[name]}: {name!r} is left out: {why}")
    del merged.entries[name]


def _bastion(hop: re.Match[str], before: str | None, origin: str, merged: Merged) -> str | None:
    """The name of the host that a hop leads over, made if there is none; None when it can be no host."""
    address = hop["host"].strip("[]")
    for name, entry in merged.entries.items():
        same_port = hop["port"] is None or (entry.port or 22) == int(hop["port"])
        if name == address or (entry.address == address and same_port):
            return name
    values: dict[str, Json] = {"address": address, "maintenance": True}
    values |= {"user": hop["user"]} if hop["user"] else {}
    values |= {"port": int(hop["port"])} if hop["port"] else {}
    values |= {"via": before} if before else {}
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", address).strip("-.") or "bastion"
    made, _ = _entry(name, values, (BASTIONS,))
    return merged.take(name, made, origin, "", before or "") if made else None
