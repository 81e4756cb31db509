"""Many hosts at once, and the files by which a controller finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import yaml

from tests.lab import addresses, bases
from tests.lab.hosts import HostSpec, LabHost
from tests.lab.tools import LabError, lab_home, locked, remove_tree, run

INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
PARALLEL_BOOTS = 12
RELEASE_CYCLE = ("bookworm", "trixie", "bullseye")


class Fleet:
    """Hosts that share a directory: inventory.yaml, id_ed25519, known_hosts, ssh_config, hosts/NAME."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.hosts: dict[str, LabHost] = {}
        self._lock = Lock()
        (self.directory / "hosts").mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o700)
        if not self.key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "maintenancebot-lab", "-f", self.key])

    def __getitem__(self, name: str) -> LabHost:
        return self.hosts[name]

    def __iter__(self) -> Iterator[LabHost]:
        return iter(self.hosts.values())

    def __len__(self) -> int:
        return len(self.hosts)

    @property
    def key(self) -> Path:
        """The private key that opens every host."""
        return self.directory / "id_ed25519"

    @property
    def inventory(self) -> Path:
        """The inventory of these hosts."""
        return self.directory / "inventory.yaml"

    @property
    def known_hosts(self) -> Path:
        """The pinned keys of these hosts."""
        return self.directory / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        """A configuration by which plain ssh, Ansible and others reach the hosts by name."""
        return self.directory / "ssh_config"

    @classmethod
    def attach(cls, directory: Path) -> Fleet:
        """The fleet that another process left in a directory."""
        if not (directory / "hosts").is_dir():
            raise LabError(f"no lab in {directory}")
        fleet = cls(directory)
        for record in sorted((fleet.directory / "hosts").glob("*/host.json")):
            host = LabHost.load(record.parent)
            fleet.hosts[host.name] = host
        return fleet

    def boot(self, *specs: HostSpec) -> list[LabHost]:
        """Create and boot hosts side by side; all of them answer when this returns."""
        raise_limits()
        bases.build({bases.Base(spec.release, spec.variant) for spec in specs})
        with ThreadPoolExecutor(PARALLEL_BOOTS) as pool:
            # Every root is made before the first host starts: a starting host keeps all mounts that it finds, and a
            # root that is still mounted somewhere cannot be aged.
            with locked(lab_home() / "making.lock"):
                made = list(pool.map(self._create, specs))
            booted = list(pool.map(self._start, made))
        self.write_files()
        return booted

    def host(self, name: str, **options: Any) -> LabHost:
        """Boot a single host; the options are those of HostSpec."""
        return self.boot(HostSpec(name, **options))[0]

    def remove(self, host: LabHost) -> None:
        """Destroy one host and forget it."""
        host.destroy()
        self.hosts.pop(host.name, None)
        self.write_files()

    def stop(self, remove: bool = True) -> None:
        """Switch all hosts off, and remove their files unless told to keep them."""
        with ThreadPoolExecutor(PARALLEL_BOOTS) as pool:
            list(pool.map(LabHost.destroy if remove else LabHost.power_off, self.hosts.values()))
        if remove:
            self.hosts.clear()
            remove_tree(self.directory)

    def close(self) -> None:
        """End the fleet and remove its files."""
        self.stop()

    def write_files(self) -> None:
        """Write inventory, known hosts and ssh configuration for the present hosts."""
        with locked(self.directory / "files.lock"):
            hosts = sorted(self.hosts.values(), key=lambda host: host.name)
            inventory = {"hosts": {host.name: _inventory_entry(host) for host in hosts}}
            self.inventory.write_text(yaml.safe_dump(inventory, sort_keys=False))
            self.known_hosts.write_text("".join(map(_known_host, hosts)))
            self.ssh_config.write_text("".join(map(_ssh_host, hosts)) + self._ssh_defaults())

    def _create(self, spec: HostSpec) -> LabHost:
        host = self._new(spec)
        try:
            return host.create()
        except BaseException:
            host.power_off()
            raise

    def _start(self, host: LabHost) -> LabHost:
        try:
            return host.start()
        except BaseException:
            host.power_off()
            raise

    def _new(self, spec: HostSpec) -> LabHost:
        with self._lock:
            if spec.name in self.hosts:
                raise LabError(f"there is a host {spec.name} already")
            port = addresses.ssh_port()
            address = addresses.claim(port)
            public_key = self.key.with_suffix(".pub").read_text()
            host = LabHost(spec, self.directory / "hosts" / spec.name, address, port, public_key)
            host.directory.mkdir(parents=True)
            self.hosts[spec.name] = host
            return host

    def _ssh_defaults(self) -> str:
        return (
            f"Host *\n  IdentityFile {self.key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n"
            "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  ConnectTimeout 10\n"
        )


def specs(count: int, releases: Iterable[str] = RELEASE_CYCLE, **options: Any) -> list[HostSpec]:
    """Plain hosts, the releases in turn, named by release and number, grouped by release."""
    turn = list(releases)
    chosen = [turn[number % len(turn)] for number in range(count)]
    return [
        HostSpec(f"{release}-{number // len(turn) + 1:02d}", release, groups=("lab", release), **options)
        for number, release in enumerate(chosen)
    ]


def raise_limits() -> None:
    """Let this machine's kernel serve dozens of systemds and a watch over all their trees."""
    for limit, wanted in ((INOTIFY_INSTANCES, 4096), (INOTIFY_WATCHES, 1_000_000)):
        if int(limit.read_text()) < wanted:
            limit.write_text(str(wanted))


def _inventory_entry(host: LabHost) -> dict[str, Any]:
    return {
        "address": host.address,
        "port": host.port,
        "user": host.spec.user,
        "groups": list(host.spec.groups) or ["lab", host.spec.release],
    }


def _known_host(host: LabHost) -> str:
    kind, key, *_ = host.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().split()
    place = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
    return f"{place} {kind} {key}\n"


def _ssh_host(host: LabHost) -> str:
    return f"Host {host.name}\n  HostName {host.address}\n  Port {host.port}\n  User {host.spec.user}\n"
