"""The inventory, who answers in it, and the host keys that are trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from maintenancebot.app import sources
from maintenancebot.app.context import Options, chosen_hosts, load, now
from maintenancebot.engine import pinging, results
from maintenancebot.engine.pinging import PingResult as PingResult
from maintenancebot.engine.progress import Progress
from maintenancebot.errors import UsageError
from maintenancebot.inventory import Inventory
from maintenancebot.model import Host, Json, State, worst
from maintenancebot.remote.connecting import known_hosts_path


@dataclass(frozen=True)
class Known:
    """A host of the inventory and what is known of it from earlier runs."""

    host: Host
    last_seen: datetime | None = None  # when it last answered a run
    state: State | None = None  # of its last results, the worst
    at: str = ""  # of the newest of them


def fleet(options: Options) -> tuple[Inventory, list[Known]]:
    """The inventory, with each host's last results; no host is contacted."""
    context = load(options)
    with context.store_readonly() as store:
        seen, last = store.machines.last_seen(), store.memories.everywhere(results.KIND)
    return context.inventory, [_known(host, seen, last.get(host.name, {})) for host in context.inventory.hosts]


def _known(host: Host, seen: Mapping[str, datetime], rows: Mapping[str, Json]) -> Known:
    if not rows:
        return Known(host, seen.get(host.name))
    state = worst([State(row["state"]) for row in rows.values()])
    return Known(host, seen.get(host.name), state, max(str(row["at"]) for row in rows.values()))


def accept(options: Options, source: str) -> int:
    """Take what a source lists now, however little it is; returns how many hosts. Raises UsageError."""
    context = load(options)
    with context.store() as store:
        return sources.accept(context.inventory, source, store, now())


def ping(options: Options, hosts: tuple[str, ...], progress: Progress) -> list[PingResult]:
    """Who answers, and as whom."""
    context = load(options)
    with context.connections() as connections:
        work = context.work("ping", connections, progress)
        return pinging.ping(chosen_hosts(context.inventory, hosts), work)


@dataclass(frozen=True)
class HostKey:
    """The key a host shows now, and what is pinned for it."""

    host: str
    address: str
    port: int
    type: str
    fingerprint_sha256: str
    known: str  # "new", "same" or "changed"
    known_fingerprint: str
    line: str  # as known_hosts holds it


def host_key(options: Options, name: str) -> HostKey:
    """Ask a host for its key without logging in; raises RemoteError or UsageError."""
    from maintenancebot.remote.host_keys import fingerprint, server_name

    context = load(options)
    host = chosen_hosts(context.inventory, (name,))[0]
    if host.connection == "local":
        raise UsageError(f"{name} is this machine; there is no key to pin")
    with context.connections() as connections:
        key = connections.connector.server_key(host)
        pinned = connections.connector.pinned(host)
    same = [one for one in pinned if one == key]
    return HostKey(
        host=name,
        address=host.address,
        port=host.port,
        type=key.get_name(),
        fingerprint_sha256=fingerprint(key),
        known="same" if same else "changed" if pinned else "new",
        known_fingerprint=fingerprint(pinned[0]) if pinned else "",
        line=f"{server_name(host.address, host.port)} {key.get_name()} {key.get_base64()}",
    )


def trust(options: Options, shown: HostKey, *, replace: bool) -> None:
    """Pin the key that was shown; raises UsageError when another one is pinned and `replace` is not given.

    A replaced key may mean a new machine: the machine-id that was remembered is forgotten with it.
    """
    from maintenancebot.remote.host_keys import KnownHosts

    if shown.known == "changed" and not replace:
        raise UsageError(f"{shown.host} has another key pinned; if the new one is right, add --replace")
    context = load(options)
    KnownHosts(known_hosts_path(context.settings.ssh, context.state)).pin_line(shown.line)
    if replace:
        with context.store() as store:
            store.machines.forget(shown.host, at=now())
