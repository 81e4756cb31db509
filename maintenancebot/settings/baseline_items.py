"""Makes the items of a host from what a baseline declares: templates filled in, contents hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from maintenancebot.errors import Fault
from maintenancebot.model import Json
from maintenancebot.settings import contents, faults, templates
from maintenancebot.settings.baseline_kinds import Declared, File, Holding
from maintenancebot.settings.baseline_values import FILLED_IN
from maintenancebot.settings.declared import Item
from maintenancebot.settings.places import Document, Place
from maintenancebot.settings.refused import RefusedError


@dataclass(frozen=True)
class Entry:
    """One item as a baseline has it, for whatever host."""

    declared: Declared
    document: Document  # its own part of the file
    spoken: str  # where that stands, as reports say it
    beside: bytes | str | None = field(default=None, repr=False)  # a file of its own: as it lies, or a template

    @cached_property
    def is_plain(self) -> bool:
        """Whether it is the same for every host."""
        return not (isinstance(self.beside, str) or _has_template(self.document.data))

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.document.place(())

    def item(self, values: Mapping[str, Json]) -> Item | Fault:
        """It for a host with these values."""
        return self._same_for_all if self.is_plain else self._made(values)

    @cached_property
    def _same_for_all(self) -> Item | Fault:
        return self._made({})

    def _made(self, values: Mapping[str, Json]) -> Item | Fault:
        try:
            declared = self.declared if self.is_plain else self._filled_in(values)
            if isinstance(declared, Fault):
                return declared
            return _item(declared, self._content(declared, values), self.spoken)
        except RefusedError as refused:
            return self.place.fault(refused.problem, refused.instead)

    def _filled_in(self, values: Mapping[str, Json]) -> Declared | Fault:
        own = self.document
        filled = Document(own.file, _filled_in(own.data, values), own.values, own.keys)
        made = faults.check(type(self.declared), filled, FILLED_IN)
        return made if made is not None else filled.faults[0]

    def _content(self, declared: Declared, values: Mapping[str, Json]) -> bytes | None:
        if isinstance(self.beside, str):
            return contents.checked(templates.render(self.beside, values).encode("utf-8"))
        if self.beside is not None:
            return self.beside
        text = declared.content if isinstance(declared, Holding) else None
        return None if text is None else contents.checked(text.encode("utf-8"))


def _item(declared: Declared, content: bytes | None, spoken: str) -> Item:
    hashed = {} if content is None else {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return Item(
        kind=declared.KIND,
        name=declared.subject,
        wanted={**declared.wanted, **hashed},
        correct=declared.correct,
        content=content,
        diff=isinstance(declared, Holding) and declared.diff,
        reload=declared.reload or "" if isinstance(declared, File) else "",
        place=spoken,
    )


def _has_template(data: Json) -> bool:
    if isinstance(data, Mapping):
        return any(map(_has_template, data.values()))
    if isinstance(data, list):
        return any(map(_has_template, data))
    return isinstance(data, str) and templates.is_template(data)


def _filled_in(data: Json, values: Mapping[str, Json]) -> Json:
    if isinstance(data, Mapping):
        return {key: _filled_in(value, values) for key, value in data.items()}
    if isinstance(data, list):
        return [_filled_in(value, values) for value in data]
    return templates.render(data, values) if isinstance(data, str) and templates.is_template(data) else data
