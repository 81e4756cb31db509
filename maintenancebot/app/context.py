"""What every command starts from: settings, inventory, state, the real clock and the real connections."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Protocol

from maintenancebot.app.person import person
from maintenancebot.app.sources import asker
from maintenancebot.engine.memory import StoreMemory
from maintenancebot.engine.progress import Progress
from maintenancebot.engine.work import NoMemory, Work
from maintenancebot.errors import UsageError
from maintenancebot.inventory import Inventory, load_both, load_inventory
from maintenancebot.model import Host
from maintenancebot.remote.connecting import Connections
from maintenancebot.settings import Secrets, Settings
from maintenancebot.settings.secrets import load_secrets
from maintenancebot.store import Store
from maintenancebot.store.location import state_dir as locate_state


class Options(Protocol):
    """What the command line was told for all commands."""

    @property
    def config(self) -> Path | None: ...
    @property
    def inventory(self) -> Path | None: ...
    @property
    def state_dir(self) -> Path | None: ...


@dataclass(frozen=True)
class Context:
    """Settings, inventory, state directory and secrets of one command, or of the daemon until it reloads."""

    settings: Settings
    inventory: Inventory
    state: Path
    secrets: Secrets = field(default_factory=Secrets)
    by: str = ""  # who wants what is done

    @contextmanager
    def connections(self) -> Iterator[Connections]:
        """The maker of all connections, closed at the end."""
        connections = Connections(self.settings.ssh, self.inventory.hosts, self.state)
        try:
            yield connections
        finally:
            connections.close()

    def work(
        self,
        run_id: str,
        connections: Connections,
        progress: Progress,
        stop: threading.Event | None = None,
        store: Store | None = None,
    ) -> Work:
        """The surroundings of a run, with the real clock; `store` is the memory of earlier looks."""
        fleet = len(self.inventory.hosts)
        memory = StoreMemory(store, now) if store else NoMemory()
        stop = stop or threading.Event()
        return Work(run_id, self.settings, connections.connect, now, progress, stop, fleet, memory, self.by)

    def store(self) -> Store:
        """The state for a run, made if there never was one; raises StoreError rather than starting empty."""
        rules = self.settings
        return Store.open(self.state, create=True, url=rules.store.url, kill_switch=rules.guards.kill_switch_file)

    def store_readonly(self) -> Store:
        """The state for looking only."""
        rules = self.settings
        return Store.open_readonly(self.state, url=rules.store.url, kill_switch=rules.guards.kill_switch_file)


def load(options: Options, *, by: str = "", with_baselines: bool = True) -> Context:
    """Read and check configuration, inventory and secrets, for this person or `by`; raises UsageError with each fault.

    Whose run asks for an approval cannot give it.
    """
    state = locate_state(options.state_dir)
    settings, inventory = load_both(
        options.config, options.inventory, lambda rules: asker(rules, state, now()), with_baselines=with_baselines
    )
    return Context(settings, inventory, state, load_secrets(os.environ), by or person())


def renewed(context: Context, options: Options) -> Context:
    """The same with an inventory whose sources are asked again; raises UsageError. Without sources nothing is read."""
    if not context.inventory.sources:
        return context
    ask = asker(context.settings, context.state, now())
    return replace(context, inventory=load_inventory(options.inventory, context.settings, ask))


def now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


def new_run_id(started: datetime) -> str:
    """An id that sorts by time."""
    return f"{started:%Y%m%dT%H%M%SZ}-{token_hex(3)}"


def chosen_hosts(inventory: Inventory, hosts: Sequence[str], groups: Sequence[str] = ()) -> tuple[Host, ...]:
    """The hosts that `--host` and `--group` name, all without them."""
    if not hosts and not groups:
        return inventory.hosts
    names = {host.name for host in inventory.hosts}
    for name in hosts:
        if name not in names:
            raise UsageError(f"no host is named {name!r}; see `maintenancebot hosts`")
    for name in groups:
        if name not in inventory.groups():
            raise UsageError(f"no group is named {name!r}; there are: {', '.join(sorted(inventory.groups()))}")
    return tuple(host for host in inventory.hosts if host.name in hosts or set(host.groups) & set(groups))
