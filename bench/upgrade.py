"""Compares one security update over one fleet, ten hosts at a time: this tool's run and Ansible's apt module.

Both renew the package lists, install the same version and look afterwards at what is installed. This tool also
simulates, fetches the way back, keeps a record before and after each change and watches each host's services; the watch
is set to nothing here, since it is waiting and not work.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from bench.compare import HERE, Measured, ansible_inventory, configuration, fleet, measure, print_table
from tests.lab import apt
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost

AT_ONCE = 10
OLD, NEW = apt.Package("demo", "1.0"), apt.Package("demo", "1.1")
TASK = {
    "name": "security_patches",
    "type": "package_update",
    "scope": "security_only",
    "approval": "auto",
    "rollback_on_failure": True,
    "health": {"settle_seconds": 0},
    "waves": {"canaries": False, "growth": AT_ONCE, "cap": AT_ONCE},
}


def settle(hosts: Fleet, work: Path) -> None:
    """Every host has the old version installed and the new one in its repository."""
    repository = apt.Repository(work / "repository", apt.security())
    repository.publish(OLD, NEW)

    def one(host: LabHost) -> None:
        if not host.run(["dpkg-query", "-W", "python3-apt"], check=False).stdout:  # Ansible's module needs it
            host.run(["apt-get", "update", "-q"])
            host.run(["apt-get", "install", "-q", "-y", "--no-install-recommends", "python3-apt"])
            apt.remove_sources(host)
        apt.install(host, OLD)
        repository.attach(host)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, hosts))


def upgraded(hosts: Fleet) -> int:
    """On how many hosts the new version is installed."""
    versions = (host.run(["dpkg-query", "-W", "-f", "${Version}", "demo"]).stdout for host in hosts)
    return sum(version.strip() in (NEW.version, NEW.version.encode()) for version in versions)


def ours(options: argparse.Namespace, inventory: Path, env: dict[str, str]) -> Measured:
    """The installed command's run."""
    config = configuration(options.lab, options.work)
    content = yaml.safe_load(config.read_text()) | {"tasks": [TASK]}
    config.write_text(yaml.safe_dump(content))
    command = [str(Path(sys.executable).parent / "maintenancebot"), "-q", "--config", str(config)]
    state = options.work / "state-upgrade"
    shutil.rmtree(state, ignore_errors=True)  # of other hosts under the same names
    command += ["--inventory", str(inventory), "--state-dir", str(state), "run", "--json"]
    return measure("maintenancebot", command, env)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, required=True, help="directory of a running lab (python -m tests.lab up)")
    parser.add_argument("--peers", type=Path, required=True, help="virtual environment that holds ansible")
    parser.add_argument("--work", type=Path, required=True, help="directory for inventories and logs")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    (options.work / "ansible.cfg").write_text("")  # nothing of this machine's own configuration
    hosts = Fleet.attach(options.lab)
    names = len(list(hosts))
    inventory = fleet(options.lab, names, options.work)
    env = {**os.environ, "BENCH_LOGS": str(options.work), "LC_ALL": "C.UTF-8", "ANSIBLE_PIPELINING": "true"}
    env |= {"ANSIBLE_CONFIG": str(options.work / "ansible.cfg"), "ANSIBLE_FORKS": str(AT_ONCE)}
    rows = []
    playbook = [str(options.peers / "bin" / "ansible-playbook"), "-i", str(ansible_inventory(inventory, options.lab))]
    both: list[Callable[[], Measured]] = [
        lambda: ours(options, inventory, env),
        lambda: measure("Ansible", [*playbook, str(HERE / "upgrade.yml")], env),
    ]
    for make in both:
        settle(hosts, options.work)
        rows.append(make())
        print(f"{rows[-1].name}: upgraded {upgraded(hosts)} of {names}", file=sys.stderr)
    print_table(f"{names} hosts, {AT_ONCE} at a time", rows)


if __name__ == "__main__":
    main()
