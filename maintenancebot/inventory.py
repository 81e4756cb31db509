"""The inventory: hosts by name with all that groups and defaults add, and the selectors that choose among them."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from maintenancebot.errors import ConfigurationError, Fault, UsageError
from maintenancebot.inventory_file import InventoryFile, merged
from maintenancebot.inventory_sources import AnySource
from maintenancebot.model import Host, Json
from maintenancebot.settings import BUNDLED, Settings, load_settings
from maintenancebot.settings.baselines import State, faults_of
from maintenancebot.settings.faults import check, sort_faults
from maintenancebot.settings.places import Document, Loc
from maintenancebot.settings.yaml_positions import read_file
from maintenancebot.sources.gathering import Answers, named
from maintenancebot.sources.merging import FILE, Merged, merge

EVERYTHING = "all"


@dataclass(frozen=True)
class Inventory:
    """All hosts: those of the file in its order, then those of its sources."""

    hosts: tuple[Host, ...]
    declared_groups: tuple[str, ...] = ()  # groups that exist even if no host is in them
    notes: tuple[str, ...] = ()  # what sources could not tell, and where lists differ
    incomplete: bool = False  # a source never answered: its hosts are in no report
    sources: tuple[AnySource, ...] = ()
    answers: Mapping[str, Json] = field(default_factory=dict)  # the last good ones of its sources, to remember

    def groups(self) -> dict[str, tuple[Host, ...]]:
        """The hosts of each group."""
        names = dict.fromkeys((*self.declared_groups, *(group for host in self.hosts for group in host.groups)))
        return {name: tuple(host for host in self.hosts if name in host.groups) for name in names}

    def select(self, selectors: Sequence[str]) -> tuple[Host, ...]:
        """The hosts that any selector names and no `!` selector does, in the inventory's order.

        Raises UsageError when a selector matches nothing, with or without `!`, and when no host is left: a misspelt
        name must not quietly choose fewer hosts, or more.
        """
        wanted = [selector for selector in selectors if not selector.startswith("!")]
        unwanted = [selector[1:] for selector in selectors if selector.startswith("!")]
        if not wanted and not unwanted:
            raise UsageError('the selector is empty; write "all", a host, a group or a glob')
        chosen = self._named(wanted or [EVERYTHING]) - self._named(unwanted)
        if not chosen:
            raise UsageError(f"{', '.join(selectors)} selects no host")
        return tuple(host for host in self.hosts if host.name in chosen)

    def _named(self, selectors: Iterable[str]) -> set[str]:
        return {name for selector in selectors for name in self._matches(selector)}

    def _matches(self, selector: str) -> set[str]:
        groups = self.groups()
        found = {host.name for host in self.hosts if _fits(host.name, selector)}
        fitting = [group for group in groups if _fits(group, selector)]
        found |= {host.name for group in fitting for host in groups[group]}
        if selector == EVERYTHING:
            return {host.name for host in self.hosts}
        if not found and not fitting:
            raise UsageError(f"no host or group is called {selector!r}; {self._advice(selector, groups)}")
        return found

    def _advice(self, selector: str, groups: Iterable[str]) -> str:
        known = [*(host.name for host in self.hosts), *groups]
        near = get_close_matches(selector, known, n=1, cutoff=0.5)
        return f"did you mean {near[0]!r}?" if near else "`maintenancebot hosts` lists them"


def _fits(name: str, selector: str) -> bool:
    return fnmatch.fnmatchcase(name, selector)


Ask = Callable[[Sequence[AnySource]], Answers]
"""Asks the sources of an inventory; raises nothing for a source that fails."""


def load_inventory(path: Path | None = None, settings: Settings | None = None, ask: Ask | None = None) -> Inventory:
    """The inventory of a file (the bundled one for None); raises ConfigurationError with all faults.

    With settings, the selectors of their tasks are checked too. `ask` reads its sources; without it they are left out.
    """
    document = read_file(path or BUNDLED / "inventory.yaml")
    file = check(InventoryFile, document)
    if file is None or document.faults:
        raise ConfigurationError(sort_faults(document.faults))
    answers = ask(file.sources) if ask and file.sources else Answers()
    whole = merge(file, answers.gathered)
    hosts = _on_a_way(list(_hosts(file, whole, document)), whole)
    silent = any(answer.at is None for answer in answers.gathered)
    inventory = Inventory(tuple(hosts), tuple(file.groups), tuple(whole.notes), silent, file.sources, answers.rows)
    document.faults += _relations(inventory, document)
    if settings is not None and not document.faults:
        document.faults += _selector_faults(settings, inventory)
    if document.faults:
        raise ConfigurationError(sort_faults(document.faults))
    return inventory


def load_both(
    config: Path | None,
    inventory: Path | None,
    ask: Callable[[Settings], Ask] | None = None,
    *,
    with_baselines: bool = True,
) -> tuple[Settings, Inventory]:
    """Settings and inventory; raises ConfigurationError with the faults of both files together.

    `ask` makes from the settings what asks the inventory's sources.
    """
    faults: list[Fault] = []
    settings = None
    try:
        settings = load_settings(config, with_baselines=with_baselines)
    except ConfigurationError as error:
        faults += error.faults
    try:
        found = load_inventory(inventory, settings, ask(settings) if ask and settings else None)
    except ConfigurationError as error:
        faults += error.faults
    if settings is None or faults:
        raise ConfigurationError(faults)
    return settings, found


def declared(settings: Settings, inventory: Inventory, hosts: Sequence[Host]) -> dict[str, State]:
    """The declared state of these hosts, by name, of those for which there is any; raises UsageError as `select`."""
    chosen = {one.name: {host.name for host in inventory.select(one.hosts)} for one in settings.baselines.files}
    names = {host.name: [name for name, those in chosen.items() if host.name in those] for host in hosts}
    return {host.name: settings.baselines.state(host, names[host.name]) for host in hosts if names[host.name]}


def _hosts(file: InventoryFile, whole: Merged, document: Document) -> Iterator[Host]:
    for name, entry in whole.entries.items():
        values, conflicts = merged(file, entry)
        for key, groups in conflicts:
            said = f"the groups {' and '.join(groups)} of `{name}` differ about `{key}`"
            advice = f"write `{key}` at the host itself"
            if name in file.hosts:
                document.faults.append(document.key_place(("hosts", name)).fault(said, advice))
            else:
                whole.notes.append(f"{said}, {groups[-1]} counts; {advice}")
        source = document.file if whole.sources[name] == FILE else whole.sources[name]
        yield Host(name=name, **{"address": name, "source": source, "stale": whole.stale[name], **values})


def _on_a_way(hosts: list[Host], whole: Merged) -> list[Host]:
    """The hosts without those of a source that no way leads to; what is wrong with the file's own is a fault."""
    known = {host.name: host for host in hosts}
    while True:  # a way over one that is left out leads nowhere
        why = {host.name: _lost(host, known) for host in known.values() if whole.sources[host.name] != FILE}
        lost = [known.pop(name) for name in why if why[name]]
        whole.notes += [f"source {host.source}: {host.name!r} is left out: {why[host.name]}" for host in lost]
        if not lost:
            return list(known.values())


def _lost(host: Host, known: Mapping[str, Host]) -> str:
    problem = _way_problem(host, known)
    return f"`{host.name}` is the name of all hosts" if host.name == EVERYTHING else problem[0] if problem else ""


def _relations(inventory: Inventory, document: Document) -> Iterator[Fault]:
    hosts = {host.name: host for host in inventory.hosts}
    for host in inventory.hosts:
        loc: Loc = ("hosts", host.name)
        if host.name == EVERYTHING:
            yield document.key_place(loc).fault(f"`{host.name}` is the name of all hosts", "give this one another name")
        yield from _group_faults(host, inventory, document)
        problem = _way_problem(host, hosts)
        if problem:
            yield document.place((*loc, "via")).fault(*problem)


def _group_faults(host: Host, inventory: Inventory, document: Document) -> Iterator[Fault]:
    declared = inventory.declared_groups if host.source == document.file else ()
    for index, group in enumerate(host.groups):
        if declared and group not in declared:
            near = get_close_matches(group, declared, n=1)
            yield document.place(("hosts", host.name, "groups", index)).fault(
                f"the group `{group}` is not under `groups`",
                f"did you mean `{near[0]}`?" if near else f"add `{group}: {{}}` there",
            )


def _way_problem(host: Host, hosts: Mapping[str, Host]) -> tuple[str, str] | None:
    """What is wrong with the bastions on the way to a host."""
    if not host.via:
        return None
    if host.connection == "local":
        return "a local connection needs no bastion", "remove `via`, or `connection: local`"
    seen = [host.name]
    current = host
    while current.via:
        if current.via not in hosts:
            near = get_close_matches(current.via, hosts, n=1)
            return f"the bastion `{current.via}` is no host here", f"did you mean `{near[0]}`?" if near else "add it"
        current = hosts[current.via]
        if current.name in seen:
            return f"the way runs in a circle: {' -> '.join([*seen, current.name])}", "remove one `via`"
        seen.append(current.name)
        if current.connection == "local":
            return f"the bastion `{current.name}` is this machine", "remove `via`"
    return None


def _selector_faults(settings: Settings, inventory: Inventory) -> Iterator[Fault]:
    for index, task in enumerate(settings.tasks):
        try:
            inventory.select(task.hosts)
        except UsageError as error:
            place = settings.place(("tasks", index, "hosts"))
            yield place.fault(f"task `{task.name}`: {error}")
    yield from _autonomy_faults(settings, inventory)
    yield from _baseline_faults(settings, inventory)


def _baseline_faults(settings: Settings, inventory: Inventory) -> Iterator[Fault]:
    """What is wrong for the hosts of the file; one that a source lists must not stop the work on all others."""
    wrong = []
    for baseline in settings.baselines.files:
        try:
            inventory.select(baseline.hosts)
        except UsageError as error:
            wrong.append(baseline.place.fault(str(error)))
    sources = dict(named(inventory.sources))
    listed = [host for host in inventory.hosts if host.source not in sources]
    yield from wrong or faults_of(declared(settings, inventory, listed))


def _autonomy_faults(settings: Settings, inventory: Inventory) -> Iterator[Fault]:
    """A misspelt group must not quietly leave its hosts without care; a source that is silent may have it."""
    groups = inventory.groups()
    for group in settings.guards.autonomy:
        if group not in groups and not inventory.incomplete:
            near = get_close_matches(group, groups, n=1)
            advice = f"did you mean `{near[0]}`?" if near else "`defaults.approval` is for all hosts"
            yield settings.place(("guards", "autonomy", group)).fault(f"no group is called `{group}`", advice)
