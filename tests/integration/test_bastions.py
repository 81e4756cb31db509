"""Hosts behind two bastions in a row, each in a network of its own: reached over these alone, one connection each."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.sshd import Sshd, make_key, missing

COMMAND = Path(sys.executable).parent / "maintenancebot"
INNER = 47
GATE, SECOND, LAST = "10.91.1.2", "10.91.2.2", "10.91.3"
WHY_NOT = missing() or ("" if shutil.which("ip") else "needs ip")

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT or "can run")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def networks() -> Iterator[list[str]]:
    """Three networks in a row: the first has a cable to this machine, each further one to the one before alone."""
    names = [f"mb-{os.getpid()}-{number}" for number in range(3)]
    cables = [f"mb{os.getpid() % 100_000}x{number}" for number in range(3)]
    try:
        for number, (name, cable) in enumerate(zip(names, cables, strict=True)):
            ip("netns", "add", name)
            ip("link", "add", cable, "type", "veth", "peer", "name", "up0", "netns", name)
            here: tuple[str, ...] = ()
            if number:
                ip("link", "set", cable, "netns", names[number - 1])
                here = ("-n", names[number - 1])
            ip(*here, "addr", "add", f"10.91.{number + 1}.1/24", "dev", cable)
            ip(*here, "link", "set", cable, "up")
            for last in range(2, INNER + 2 if number == 2 else 3):
                ip("-n", name, "addr", "add", f"10.91.{number + 1}.{last}/24", "dev", "up0")
            for device in ("up0", "lo"):
                ip("-n", name, "link", "set", device, "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
        subprocess.run(["ip", "link", "del", cables[0]], capture_output=True)


class Way:
    """The two bastions, the server of all hosts behind them, and the files of a controller."""

    def __init__(self, folder: Path, networks: list[str]) -> None:
        make_key(folder / "key")
        self.inner = [f"{LAST}.{number}" for number in range(2, INNER + 2)]
        listen = {"MaxStartups": "200", "MaxSessions": "100"}
        self.gate, self.second, self.last = (
            Sshd(folder / name, folder / "key", namespace=network, ListenAddress=address, **listen)
            for name, network, address in zip(
                ("gate", "second", "last"), networks, (GATE, SECOND, "0.0.0.0"), strict=True
            )
        )
        hosts = [f"Host gate\n HostName {GATE}\n Port {self.gate.port}"]
        hosts.append(f"Host second\n HostName {SECOND}\n Port {self.second.port}\n ProxyJump gate")
        hosts += [
            f"Host in-{number}\n HostName {address}\n Port {self.last.port}\n ProxyJump second"
            for number, address in enumerate(self.inner)
        ]
        (folder / "ssh_config").write_text("\n".join(hosts) + "\nHost *\n User root\n")
        lines = [self.gate.known_hosts_at(GATE), self.second.known_hosts_at(SECOND)]
        lines += [self.last.known_hosts_at(address) for address in self.inner]
        (folder / "known_hosts").write_text("\n".join(lines) + "\n")
        ssh = {"keys": [str(folder / "key")], "known_hosts": str(folder / "known_hosts"), "agent": False}
        ssh |= {"connect_timeout": 90, "login_timeout": 90}  # 47 logins at once on whatever machine this is
        task = {"name": "certificates", "type": "monitor", "check": "certificate_expiry_days > 30"}
        (folder / "config.yaml").write_text(yaml.safe_dump({"tasks": [task], "ssh": ssh}))
        source = {"type": "ssh_config", "path": str(folder / "ssh_config")}
        (folder / "hosts.yaml").write_text(yaml.safe_dump({"sources": [source]}))
        self._words = [COMMAND, "-q", "--config", folder / "config.yaml", "--inventory", folder / "hosts.yaml"]
        self._words += ["--state-dir", folder / "state"]

    def __call__(self, *words: str) -> dict[str, Any]:
        ended = subprocess.run([*self._words, *words, "--json"], capture_output=True, text=True, timeout=300)
        assert ended.stdout, ended.stderr
        return dict(json.loads(ended.stdout))

    def logins(self) -> tuple[int, int]:
        return self.gate.logged("Accepted publickey"), self.second.logged("Accepted publickey")

    def stop(self) -> None:
        for server in (self.gate, self.second, self.last):
            server.stop()


@pytest.fixture(scope="module")
def way(tmp_path_factory: pytest.TempPathFactory, networks: list[str]) -> Iterator[Way]:
    made = Way(tmp_path_factory.mktemp("way"), networks)
    yield made
    made.stop()


def test_the_hosts_cannot_be_reached_from_here(way: Way) -> None:
    for address, port in ((SECOND, way.second.port), (way.inner[0], way.last.port)):
        with pytest.raises(OSError, match=r"timed out|unreachable|refused"):
            socket.create_connection((address, port), timeout=1)


def test_all_hosts_are_reached_over_one_connection_to_each_bastion(way: Way) -> None:
    names = [f"in-{number}" for number in range(INNER)]
    before = way.logins()
    answers = {row["host"]: row for row in way("hosts", "ping", *names)["hosts"]}
    assert {
        name: (answers[name]["state"], answers[name]["detail"]) for name in names if answers[name]["state"] != "done"
    } == {}
    assert set(names) <= set(answers)
    after = way.logins()
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


def test_the_way_is_told_and_the_bastions_are_hosts_too(way: Way) -> None:
    rows = {row["host"]: row for row in way("hosts")["hosts"]}
    assert (rows["gate"]["via"], rows["second"]["via"], rows["in-0"]["via"]) == ("", "gate", "second")
    assert {row["state"] for row in way("hosts", "ping", "gate", "second")["hosts"]} == {"done"}
