"""The baselines of a folder: strict YAML, every fault with its place, and the declared state of a host from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from maintenancebot.errors import ConfigurationError, Fault
from maintenancebot.model import Host
from maintenancebot.settings import contents, faults, templates, yaml_positions
from maintenancebot.settings.baseline_file import SECTIONS, BaselineFile
from maintenancebot.settings.baseline_items import Entry
from maintenancebot.settings.baseline_kinds import Declared, Holding
from maintenancebot.settings.declared import Item
from maintenancebot.settings.places import Document, Loc, Place
from maintenancebot.settings.refused import RefusedError

SUFFIXES = (".yaml", ".yml")
MOST_STATES = 4096


@dataclass(frozen=True)
class Baseline:
    """One file: who it is for, and its items."""

    name: str
    hosts: tuple[str, ...]
    place: Place  # of `hosts`
    entries: tuple[Entry, ...]
    digest: str


@dataclass(frozen=True)
class State:
    """The declared state of one host, and what is wrong with it."""

    items: tuple[Item, ...]
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class Baselines:
    """All baselines of a configuration."""

    files: tuple[Baseline, ...] = ()
    _states: dict[tuple[Host, tuple[str, ...]], State] = field(default_factory=dict, compare=False, repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 over all that is declared, contents too."""
        every = json.dumps([[one.name, one.digest] for one in self.files])
        return hashlib.sha256(every.encode("ascii")).hexdigest()

    def state(self, host: Host, names: Sequence[str]) -> State:
        """What these baselines declare of a host; worked out once."""
        key = (host, tuple(names))
        if key not in self._states:
            if len(self._states) >= MOST_STATES:  # hosts of sources come and go while a daemon lives
                self._states.clear()
            self._states[key] = self._state(host, [one for one in self.files if one.name in names])
        return self._states[key]

    def _state(self, host: Host, mine: Sequence[Baseline]) -> State:
        values = templates.variables(host)
        found: dict[str, tuple[Item, Entry]] = {}
        wrong: list[Fault] = []
        for entry in (entry for one in mine for entry in one.entries):
            item = entry.item(values)
            if isinstance(item, Fault):
                wrong.append(item)
                continue
            earlier, first = found.setdefault(item.id, (item, entry))
            if item is not earlier and replace(item, place="") != replace(earlier, place=""):
                wrong.append(_declared_twice(item, entry.place, first.place))
        return State(tuple(item for item, _ in found.values()), tuple(wrong))


def load(folder: Path, *, must_exist: bool = False) -> Baselines:
    """The baselines of a folder, none where there is no folder; raises ConfigurationError with all faults."""
    wrong: list[Fault] = []
    found: list[Baseline] = []
    for path in _files(folder, must_exist=must_exist):
        try:
            found.append(_read(path))
        except ConfigurationError as error:
            wrong += error.faults
    if wrong:
        raise ConfigurationError(wrong)
    return Baselines(tuple(found))


def faults_of(states: Mapping[str, State]) -> Iterator[Fault]:
    """What is wrong for several hosts, by their names: the same fault once."""
    found: dict[tuple[str, int, int, str], list[tuple[str, Fault]]] = {}
    for name, state in states.items():
        for fault in state.faults:
            found.setdefault((fault.file, fault.line, fault.column, fault.problem), []).append((name, fault))
    for (file, line, column, problem), every in found.items():
        name, first = every[0]
        more = f" and {len(every) - 1} more" if len(every) > 1 else ""
        yield Fault(file, line, column, f"{problem} (for {name}{more})", first.instead)


def _files(folder: Path, *, must_exist: bool) -> list[Path]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        if must_exist:
            raise ConfigurationError(
                [Place(str(folder)).fault("there is no such folder", "make it, or correct `baselines`")]
            ) from None
        return []
    except OSError as error:
        said = f"the folder of the baselines cannot be read: {error.strerror}"
        raise ConfigurationError([Place(str(folder)).fault(said, "make it readable for this user")]) from None
    return [folder / name for name in names if name.endswith(SUFFIXES) and not name.startswith(".")]


def _read(path: Path) -> Baseline:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would hold up whoever opens it
        raise ConfigurationError(
            [Place(str(path)).fault("this is no regular file", "remove it, or give it another name")]
        )
    document = yaml_positions.read_file(path)
    file = faults.check(BaselineFile, document)
    entries = list(_entries(file, document, path)) if file is not None and not document.faults else []
    if file is None or document.faults:
        raise ConfigurationError(faults.sort_faults(document.faults))
    return Baseline(path.name, file.hosts, document.place(("hosts",)), tuple(entries), _digest(document, entries))


def _entries(file: BaselineFile, document: Document, path: Path) -> Iterator[Entry]:
    parts = _parts(document)
    for section in SECTIONS:
        for index, declared in enumerate(getattr(file, section)):
            own = parts[section, index]
            try:
                beside = _beside(path.parent, declared)
            except RefusedError as refused:
                document.faults.append(own.place(()).fault(refused.problem, refused.instead))
                continue
            yield Entry(declared, own, f"{path.parent.name}/{path.name}:{own.place(()).line}", beside)


def _beside(folder: Path, declared: Declared) -> bytes | str | None:
    if isinstance(declared, Holding) and declared.source is not None:
        return contents.read(folder, declared.source)
    if isinstance(declared, Holding) and declared.template is not None:
        return contents.read_template(folder, declared.template)
    return None


def _parts(document: Document) -> dict[Loc, Document]:
    """Each item of a baseline as a document of its own, with the places that it had."""
    parts: dict[Loc, Document] = {}
    for section in SECTIONS:
        for index, data in enumerate(document.data.get(section, ())):
            parts[section, index] = Document(document.file, data)
    for loc, place in document.values.items():
        if loc[:2] in parts:
            parts[loc[:2]].values[loc[2:]] = place
    for loc, place in document.keys.items():
        if loc[:2] in parts:
            parts[loc[:2]].keys[loc[2:]] = place
    return parts


def _digest(document: Document, entries: Sequence[Entry]) -> str:
    beside = [one.beside.encode("utf-8") if isinstance(one.beside, str) else one.beside or b"" for one in entries]
    every = [document.data, [hashlib.sha256(raw).hexdigest() for raw in beside]]
    return hashlib.sha256(json.dumps(every, sort_keys=True).encode("ascii")).hexdigest()


def _declared_twice(item: Item, place: Place, first: Place) -> Fault:
    where = f"line {first.line}" if first.file == place.file else f"{first.file}:{first.line}"
    return place.fault(f"{item.id} is declared otherwise in {where}", "keep one of the two, or narrow their `hosts`")
