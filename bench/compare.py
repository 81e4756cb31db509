"""Compares the five read-only checks over one fleet: this tool, Ansible, pyinfra and bare Fabric, in one run.

Prints a Markdown table: wall time, controller CPU (user and system of the whole process tree), peak memory, and ratios.
The hosts run on this machine too, so wall time holds their work as well; CPU is the controller's alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

HERE = Path(__file__).parent
FORKS = 32
ROUNDS = 3


@dataclass(frozen=True)
class Measured:
    """One program's run over the fleet."""

    name: str
    wall: float  # seconds
    cpu: float  # seconds
    memory: float  # MiB, the largest single process
    code: int


MEASURE = """
import json, resource, subprocess, sys, time
began = time.monotonic()
code = subprocess.call(sys.argv[2:])
used = resource.getrusage(resource.RUSAGE_CHILDREN)
figures = [time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, code]
open(sys.argv[1], "w").write(json.dumps(figures))
"""


def measure(name: str, argv: Sequence[str], env: dict[str, str], limit: float = 1200) -> Measured:
    """Run a program to its end, its outputs in a log; CPU is what its whole tree of waited-for children used."""
    log = Path(env["BENCH_LOGS"]) / f"bench-{name.split()[0]}.log"
    figures = log.with_suffix(".json")
    with log.open("wb") as stream:
        command = [sys.executable, "-c", MEASURE, str(figures), *argv]
        subprocess.run(command, stdout=stream, stderr=stream, env=env, timeout=limit, check=True)
    return Measured(name, *json.loads(figures.read_text()))


def best(name: str, argv: Sequence[str], env: dict[str, str]) -> Measured:
    """The quickest of a few rounds: what else the machine did falls out."""
    return min((measure(name, argv, env) for _ in range(ROUNDS)), key=lambda row: row.wall)


def give_package_lists(directory: Path, work: Path) -> None:
    """Let every lab host have a loaded repository, so that asking apt is a real question."""
    from concurrent.futures import ThreadPoolExecutor

    from tests.lab import apt
    from tests.lab.fleet import Fleet

    repository = apt.Repository(work / "repository", apt.security())
    repository.publish(apt.Package("demo", "1.0"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(repository.attach, Fleet.attach(directory)))


def fleet(directory: Path, targets: int, work: Path) -> Path:
    """An inventory of `targets` names, several for each lab host when there are fewer hosts than names."""
    hosts = yaml.safe_load((directory / "inventory.yaml").read_text())["hosts"]
    names = list(hosts)
    chosen = {f"t{n:04d}": dict(hosts[names[n % len(names)]], groups=[]) for n in range(targets)}
    path = work / f"inventory-{targets}.yaml"
    path.write_text(yaml.safe_dump({"hosts": chosen}))
    return path


def configuration(directory: Path, work: Path) -> Path:
    """The five tasks with this lab's key and known hosts."""
    text = yaml.safe_load((HERE.parent / "config" / "maintenancebot.yaml").read_text())
    text["ssh"] = {
        "keys": [str(directory / "id_ed25519")],
        "known_hosts": str(directory / "known_hosts"),
        "agent": False,
    }
    for task in text["tasks"]:
        if task["type"] == "verify":
            task["sources"] = [{"type": "files", "path": "/var/backups/*.gz"}]
    path = work / "maintenancebot.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


def ansible_inventory(inventory: Path, directory: Path) -> Path:
    """The same hosts in Ansible's form."""
    lines = ["[all]"]
    for name, host in yaml.safe_load(inventory.read_text())["hosts"].items():
        address, port, user = host["address"], host.get("port", 22), host.get("user", "root")
        lines.append(f"{name} ansible_host={address} ansible_port={port} ansible_user={user}")
    lines += ["[all:vars]", f"ansible_ssh_private_key_file={directory / 'id_ed25519'}"]
    lines.append(f"ansible_ssh_common_args=-o UserKnownHostsFile={directory / 'known_hosts'} -F none")
    lines.append("ansible_python_interpreter=/usr/bin/python3")
    path = inventory.with_suffix(".ini")
    path.write_text("\n".join(lines) + "\n")
    return path


def pyinfra_inventory(inventory: Path, directory: Path) -> Path:
    """The same hosts in pyinfra's form."""
    entries = []
    for name, host in yaml.safe_load(inventory.read_text())["hosts"].items():
        data = {
            "ssh_hostname": host["address"],
            "ssh_port": host.get("port", 22),
            "ssh_user": host.get("user", "root"),
            "ssh_key": str(directory / "id_ed25519"),
            "ssh_known_hosts_file": str(directory / "known_hosts"),
        }
        entries.append((name, data))
    path = inventory.with_name("inventory_pyinfra.py")
    path.write_text(f"hosts = {entries!r}\n")
    return path


def ours(work: Path, inventory: Path, config: Path) -> list[str]:
    """The installed command's dry run."""
    command = str(Path(sys.executable).parent / "maintenancebot")
    state = work / "state"
    return [
        command,
        "-q",
        "--config",
        str(config),
        "--inventory",
        str(inventory),
        "--state-dir",
        str(state),
        "dry-run",
        "--json",
    ]


def request_file(work: Path, config: Path, inventory: Path) -> Path:
    """What our helper is asked, for the bare connections to ask the same."""
    from datetime import UTC, datetime

    from maintenancebot.engine import probing
    from maintenancebot.inventory import load_inventory
    from maintenancebot.remote.client import PROTOCOL
    from maintenancebot.settings import load_settings

    settings, hosts = load_settings(config), load_inventory(inventory).hosts
    request = probing.probe_request(hosts[0], settings.tasks, settings, datetime.now(UTC))
    path = work / "request.json"
    path.write_text(json.dumps({"protocol": PROTOCOL, "deadline": settings.ssh.probe_deadline, **request}))
    return path


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lab", type=Path, required=True, help="directory of a running lab (python -m tests.lab up)")
    parser.add_argument("--peers", type=Path, help="virtual environment that holds ansible and pyinfra")
    parser.add_argument("--targets", type=int, nargs="*", default=[], help="more fleet sizes, ours only")
    parser.add_argument("--work", type=Path, required=True, help="directory for inventories and logs")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    (options.work / "ansible.cfg").write_text("")  # nothing of this machine's own configuration
    give_package_lists(options.lab, options.work)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    names = len(yaml.safe_load((options.lab / "inventory.yaml").read_text())["hosts"])
    inventory = fleet(options.lab, names, options.work)
    config = configuration(options.lab, options.work)
    env = {**os.environ, "BENCH_LOGS": str(options.work), "ANSIBLE_PIPELINING": "true", "ANSIBLE_FORKS": str(FORKS)}
    env |= {
        "ANSIBLE_HOST_KEY_CHECKING": "true",
        "ANSIBLE_CONFIG": str(options.work / "ansible.cfg"),
        "LC_ALL": "C.UTF-8",
    }
    bare = [
        sys.executable,
        str(HERE / "bare_fabric.py"),
        str(options.lab),
        str(request_file(options.work, config, inventory)),
    ]
    measure("warming-up", bare, env)
    rows = [best("maintenancebot", ours(options.work, inventory, config), env), best("bare Fabric", bare, env)]
    if options.peers:
        playbook = [
            str(options.peers / "bin" / "ansible-playbook"),
            "-i",
            str(ansible_inventory(inventory, options.lab)),
        ]
        rows.append(measure("Ansible", [*playbook, str(HERE / "checks.yml")], env))
        deploy = [str(options.peers / "bin" / "pyinfra"), "-y", "--parallel", str(FORKS)]
        deploy += [str(pyinfra_inventory(inventory, options.lab)), str(HERE / "checks_pyinfra.py")]
        rows.append(measure("pyinfra", deploy, env))
    print_table(f"{names} hosts", rows)
    for targets in options.targets:
        argv = ours(options.work, fleet(options.lab, targets, options.work), config)
        print_table(f"{targets} targets", [measure("maintenancebot", argv, env)])


def print_table(title: str, rows: Sequence[Measured]) -> None:
    """One Markdown table, each program beside the first."""
    first = rows[0]
    print(f"\n{title}\n\n| program | wall s | times ours | CPU s | times ours | MiB | exit |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        print(
            f"| {row.name} | {row.wall:.1f} | {row.wall / first.wall:.1f} | {row.cpu:.1f} | {row.cpu / first.cpu:.1f} "
            f"| {row.memory:.0f} | {row.code} |"
        )


if __name__ == "__main__":
    main()
