"""Compares one look at declared items over one fleet: this tool's `drift scan` and Ansible's check mode.

Every tenth file differs. Both compare content, mode and owner of the files, that packages are installed, and that units
are enabled and run. This tool also says who may have written what differs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from bench.compare import HERE, Measured, ansible_inventory, configuration, fleet, measure, print_table
from tests.lab.fleet import Fleet
from tests.lab.hosts import LabHost

FORKS = 32
SERVICES = ("ssh.service", "systemd-journald.service", "systemd-logind.service", "dbus.service")
PACKAGES = ("bash", "coreutils", "openssh-server", "sudo", "systemd", "python3")
TENTH = 10


def declared(count: int) -> dict[str, Any]:
    """So many items, most of them files."""
    files = [
        {"path": f"/srv/declared/{n % 20}/{n}.conf", "content": f"item = {n}\n" * 40, "mode": "0644"}
        for n in range(count - len(SERVICES) - len(PACKAGES))
    ]
    return {"files": files, "packages": list(PACKAGES), "services": list(SERVICES)}


def baseline(items: dict[str, Any], work: Path) -> Path:
    """The folder with the items as a baseline of this tool."""
    folder = work / "baselines"
    folder.mkdir(exist_ok=True)
    document = {
        "hosts": ["all"],
        "files": [{**one, "owner": "root", "group": "root"} for one in items["files"]],
        "packages": [{"name": name} for name in items["packages"]],
        "services": [{"name": name, "enabled": True, "active": True} for name in items["services"]],
    }
    (folder / "bench.yaml").write_text(yaml.safe_dump(document))
    return folder


def settle(hosts: Fleet, items: dict[str, Any]) -> None:
    """Every host has the files, and every tenth of them differs."""

    def one(host: LabHost) -> None:
        for number, file in enumerate(items["files"]):
            host.write(file["path"], file["content"] if number % TENTH else "by hand\n")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, hosts))


def ours(options: argparse.Namespace, inventory: Path, folder: Path, env: dict[str, str]) -> Measured:
    """The installed command's scan."""
    config = configuration(options.lab, options.work)
    content = yaml.safe_load(config.read_text()) | {"remediation": {"drift": {"baselines": str(folder)}}}
    config.write_text(yaml.safe_dump(content))
    command = [str(Path(sys.executable).parent / "maintenancebot"), "-q", "--config", str(config)]
    command += ["--inventory", str(inventory), "--state-dir", str(options.work / "state-drift")]
    return measure("maintenancebot", [*command, "drift", "scan", "--json"], env)


def theirs(options: argparse.Namespace, inventory: Path, items: dict[str, Any], env: dict[str, str]) -> Measured:
    """Ansible's check mode for the same items."""
    variables = options.work / "drift-items.json"
    variables.write_text(json.dumps(items))
    playbook = [str(options.peers / "bin" / "ansible-playbook"), "--check", "--extra-vars", f"@{variables}"]
    playbook += ["-i", str(ansible_inventory(inventory, options.lab)), str(HERE / "drift.yml")]
    return measure("Ansible", playbook, env)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, required=True, help="directory of a running lab (python -m tests.lab up)")
    parser.add_argument("--peers", type=Path, help="virtual environment that holds ansible")
    parser.add_argument("--work", type=Path, required=True, help="directory for inventories and logs")
    parser.add_argument("--targets", type=int, default=0, help="names in all, several for each host; else one for each")
    parser.add_argument("--items", type=int, default=500, help="declared items of each host")
    options = parser.parse_args()
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    (options.work / "ansible.cfg").write_text("")  # nothing of this machine's own configuration
    hosts, items = Fleet.attach(options.lab), declared(options.items)
    settle(hosts, items)
    names = options.targets or len(list(hosts))
    inventory, folder = fleet(options.lab, names, options.work), baseline(items, options.work)
    env = {**os.environ, "BENCH_LOGS": str(options.work), "LC_ALL": "C.UTF-8", "ANSIBLE_PIPELINING": "true"}
    env |= {"ANSIBLE_CONFIG": str(options.work / "ansible.cfg"), "ANSIBLE_FORKS": str(FORKS)}
    rows = [ours(options, inventory, folder, env)]
    if options.peers:
        rows.append(theirs(options, inventory, items, env))
    print_table(f"{names} targets, {options.items} declared items each", rows)


if __name__ == "__main__":
    main()
