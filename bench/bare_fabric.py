"""The lower bound: plain Fabric connections that do the same single execution and throw the answer away."""

from __future__ import annotations

import json
import secrets
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fabric
import paramiko
import yaml

from maintenancebot.remote import bundle, frames

PARALLEL = 32


def execute(
    host: dict[str, object], key: paramiko.PKey, known_hosts: str, config: fabric.Config, request: object
) -> int:
    """Connect, run the helper once, read its answer to the end; the number of bytes that came."""
    connection = fabric.Connection(
        host=str(host["address"]),
        user=str(host.get("user", "root")),
        port=int(str(host.get("port", 22))),
        config=config,
        connect_timeout=10,
        connect_kwargs={"pkey": key, "allow_agent": False, "look_for_keys": False},
    )
    connection.client.load_host_keys(known_hosts)
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())
    connection.open()
    channel = connection.transport.open_session(timeout=20)
    channel.settimeout(60)
    become = "" if host.get("user", "root") == "root" else bundle.BECOME["sudo"]
    channel.exec_command(become + bundle.COMMAND)
    marker = secrets.token_hex(16)
    channel.sendall(bundle.preamble(marker) + frames.encode(marker, 0, "request", request))
    size = 0
    end = f"%MB1 {marker} ".encode()
    tail = b""
    while data := channel.recv(65536):
        size += len(data)
        tail = (tail + data)[-400:]
        if b" end " in tail and end in tail:
            break
    else:
        raise RuntimeError(f"{host['address']} gave no whole answer")
    connection.close()
    return size


def main(directory: Path, request_file: Path) -> None:
    """Do it for every host of a lab directory."""
    hosts = yaml.safe_load((directory / "inventory.yaml").read_text())["hosts"]
    request = json.loads(request_file.read_text())
    key = paramiko.PKey.from_path(str(directory / "id_ed25519"))
    config = fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig())
    known_hosts = str(directory / "known_hosts")
    with ThreadPoolExecutor(PARALLEL) as pool:
        sizes = list(pool.map(lambda host: execute(host, key, known_hosts, config, request), hosts.values()))
    print(f"{len(sizes)} hosts, {sum(sizes)} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
