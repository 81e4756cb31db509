"""Reads YAML strictly: plain data with positions, and a fault for all that readers of YAML disagree about.

Built from parser events and not from nodes, because events still know tags, aliases and quotes, and because the
composer of the C library recurses as deep as its input says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from maintenancebot.errors import ConfigurationError, Fault
from maintenancebot.model import Json
from maintenancebot.settings.places import Document, Loc, Place
from maintenancebot.settings.refused import RefusedError
from maintenancebot.settings.scalars import resolve

LIMIT = 16 * 1024 * 1024
DEEPEST = 20
_NO_KEY = "?"

Events = Iterator[yaml.Event]


def read_file(path: Path) -> Document:
    """The mapping in a YAML file; raises ConfigurationError when the file cannot be read as one mapping."""
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(LIMIT + 1)
    except FileNotFoundError:
        raise _fatal(Place(file), "the file does not exist", "correct the path, or leave it out") from None
    except IsADirectoryError:
        raise _fatal(Place(file), "this is a folder", "name the file in it") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _fatal(Place(file), f"the file cannot be read: {why}", "make it readable for this user") from None
    if len(raw) > LIMIT:
        raise _fatal(Place(file, 1, 1), "the file is larger than 16 MiB", "name the right file")
    return read_text(_decoded(raw, file), file)


def read_text(text: str, file: str) -> Document:
    """The mapping in a YAML text; raises ConfigurationError when it is not one mapping."""
    try:
        return _Builder(file).document(text)
    except yaml.reader.ReaderError as error:
        place = _place_of_index(text, error.position, file)
        raise _fatal(place, "a control character, which YAML does not allow", "remove it") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigurationError([_syntax_fault(error, text, file)]) from None


def _fatal(place: Place, problem: str, instead: str) -> ConfigurationError:
    return ConfigurationError([place.fault(problem, instead)])


def _decoded(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line_start = before.rfind(b"\n") + 1
        column = len(before[line_start:].decode("utf-8", "replace")) + 1
        place = Place(file, before.count(b"\n") + 1, column)
        raise _fatal(place, f"the byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8") from None


def _place_of_index(text: str, index: int, file: str) -> Place:
    # The C parser counts bytes of UTF-8, the Python one characters: the first bad character decides.
    found = next((at for at, char in enumerate(text) if not char.isprintable() and char not in "\t\n\r\x85"), index)
    before = text[:found]
    return Place(file, before.count("\n") + 1, found - (before.rfind("\n") + 1) + 1)


def _syntax_fault(error: yaml.MarkedYAMLError, text: str, file: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file, 1, 1)
    lines = text.splitlines()
    line = lines[place.line - 1] if 0 < place.line <= len(lines) else ""
    if "\t" in line[: place.column]:
        return place.fault("a tab, with which YAML cannot indent", "indent with spaces")
    problem = ", ".join(part for part in (error.problem, error.context) if part)
    return place.fault(f"this is not YAML: {problem}", "look at quotes, colons, brackets and indentation here")


class _Builder:
    """Turns events into a Document."""

    def __init__(self, file: str) -> None:
        self.out = Document(file)

    def document(self, text: str) -> Document:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        events: Events = iter(yaml.parse(text, Loader=loader))
        first = self._skip_to_content(events)
        if first is None:
            raise _fatal(
                Place(self.out.file, 1, 1), "the file is empty", "write at least one key, or leave the file out"
            )
        if not isinstance(first, yaml.MappingStartEvent):
            raise _fatal(self._place(first), "the file is not a mapping", 'write lines such as "key: value"')
        self.out.data = self._value(first, events, ())
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                self._fault(event, "a second document in one file", "keep one document and remove the line ---")
                break
        return self.out

    def _skip_to_content(self, events: Events) -> yaml.Event | None:
        for event in events:
            if isinstance(event, yaml.StreamEndEvent):
                return None
            if not isinstance(event, yaml.StreamStartEvent | yaml.DocumentStartEvent):
                empty = isinstance(event, yaml.ScalarEvent) and event.value == "" and event.implicit[0]
                return None if empty else event
        return None

    def _place(self, event: yaml.Event) -> Place:
        mark = event.start_mark
        return Place(self.out.file, mark.line + 1, mark.column + 1) if mark else Place(self.out.file)

    def _fault(self, event: yaml.Event, problem: str, instead: str) -> None:
        self.out.faults.append(self._place(event).fault(problem, instead))

    def _value(self, event: yaml.Event, events: Events, loc: Loc) -> Json:
        if len(loc) > DEEPEST:
            raise _fatal(self._place(event), f"nested more than {DEEPEST} levels deep", "write it flatter")
        self.out.values[loc] = self._place(event)
        self._check_node(event, loc)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(events, loc)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, loc)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, loc)
        return None

    def _check_node(self, event: yaml.Event, loc: Loc) -> None:
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if isinstance(event, yaml.AliasEvent):
            self._fault(event, f"the alias *{anchor} is not understood here", "write the value out")
            self.out.doubtful.add(loc)
        elif anchor:
            self._fault(event, f"the anchor &{anchor} is not understood here", "remove it, write each value out")
        if tag:
            self._fault(event, f"the tag {_short_tag(tag)} is not understood here", "remove it")
            self.out.doubtful.add(loc)

    def _mapping(self, events: Events, loc: Loc) -> dict[str, Json]:
        found: dict[str, Json] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, loc)
            here = (*loc, key)
            if key in found and key != _NO_KEY:
                first = self.out.keys[here]
                self._fault(event, f"`{key}` is given twice, first in line {first.line}", "keep one of the two")
                here = (*loc, f"{key} (again)")
            self.out.keys[here] = self._place(event)
            value = self._value(next(events), events, here)
            found.setdefault(key, value)
        if found.pop(_NO_KEY, self) is not self:
            self.out.doubtful.add(loc)
        return found

    def _key(self, event: yaml.Event, events: Events, loc: Loc) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            self._fault(event, "a key must be a plain word", "look at the brackets, and at ? and * before the key")
            self._value(event, events, (*loc, _NO_KEY))
            return _NO_KEY
        self._check_node(event, (*loc, event.value))
        if event.implicit[0] and event.value == "<<":
            self._fault(event, "`<<` merges mappings, which is not understood here", "write the keys out")
            return _NO_KEY
        if event.implicit[0]:
            self._check_key_text(event)
        return event.value

    def _check_key_text(self, event: yaml.ScalarEvent) -> None:
        try:
            value = resolve(event.value)
        except RefusedError as refused:
            self._fault(event, refused.problem, refused.instead)
            return
        if not isinstance(value, str):
            self._fault(event, f"the key `{event.value}` is not a text", f'write "{event.value}" in quotes')

    def _sequence(self, events: Events, loc: Loc) -> list[Json]:
        found: list[Json] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            found.append(self._value(event, events, (*loc, len(found))))
        return found

    def _scalar(self, event: yaml.ScalarEvent, loc: Loc) -> Json:
        if not event.implicit[0]:
            return event.value
        try:
            return resolve(event.value)
        except RefusedError as refused:
            self._fault(event, refused.problem, refused.instead)
            self.out.doubtful.add(loc)
            return event.value


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")
