"""The inventory: hosts by name with all that groups and defaults add, and the selectors that choose among them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from maintenancebot.errors import ConfigurationError, Fault, UsageError
from maintenancebot.inventory_file import InventoryFile, merged
from maintenancebot.model import Host
from maintenancebot.settings import BUNDLED, Settings, load_settings
from maintenancebot.settings.faults import check, sort_faults
from maintenancebot.settings.places import Document, Loc
from maintenancebot.settings.yaml_positions import read_file

EVERYTHING = "all"


@dataclass(frozen=True)
class Inventory:
    """All hosts, in the order of the file."""

    hosts: tuple[Host, ...]
    declared_groups: tuple[str, ...] = ()  # groups that exist even if no host is in them

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


def load_inventory(path: Path | None = None, settings: Settings | None = None) -> Inventory:
    """The inventory of a file (the bundled one for None); raises ConfigurationError with all faults.

    With settings, the selectors of their tasks are checked too.
    """
    document = read_file(path or BUNDLED / "inventory.yaml")
    file = check(InventoryFile, document)
    if file is None or document.faults:
        raise ConfigurationError(sort_faults(document.faults))
    inventory = Inventory(tuple(_hosts(file, document)), tuple(file.groups))
    document.faults += _relations(inventory, document)
    if settings is not None and not document.faults:
        document.faults += _selector_faults(settings, inventory)
    if document.faults:
        raise ConfigurationError(sort_faults(document.faults))
    return inventory


def load_both(config: Path | None, inventory: Path | None) -> tuple[Settings, Inventory]:
    """Settings and inventory; raises ConfigurationError with the faults of both files together."""
    faults: list[Fault] = []
    settings = None
    try:
        settings = load_settings(config)
    except ConfigurationError as error:
        faults += error.faults
    try:
        found = load_inventory(inventory, settings)
    except ConfigurationError as error:
        faults += error.faults
    if settings is None or faults:
        raise ConfigurationError(faults)
    return settings, found


def _hosts(file: InventoryFile, document: Document) -> Iterator[Host]:
    for name, entry in file.hosts.items():
        values, conflicts = merged(file, entry)
        for key, groups in conflicts:
            document.faults.append(
                document.key_place(("hosts", name)).fault(
                    f"the groups {' and '.join(groups)} of `{name}` differ about `{key}`",
                    f"write `{key}` at the host itself",
                )
            )
        yield Host(name=name, **{"address": name, "source": document.file, **values})


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
    declared = inventory.declared_groups
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
