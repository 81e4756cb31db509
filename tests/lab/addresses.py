"""Loopback addresses for the hosts, shared fairly by all labs on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.lab.tools import LabError, locked, process_started

CLAIMS = Path("/run/maintenancebot-lab/addresses")
NETWORKS = range(9, 41)


def claim(port: int) -> str:
    """The first free address; it stays ours until released or until this process is gone."""
    with locked(CLAIMS.with_name("addresses.lock")):
        CLAIMS.mkdir(parents=True, exist_ok=True)
        for address in _candidates():
            if not _is_claimed(address) and _is_free(address, port):
                hand_over(address, os.getpid())
                return address
    raise LabError(f"no free address for port {port}: does a server listen on *:{port}?")


def hand_over(address: str, pid: int) -> None:
    """Bind the life of a claim to another process."""
    (CLAIMS / address).write_text(f"{pid} {process_started(pid)}")


def release(address: str) -> None:
    """Give an address back."""
    (CLAIMS / address).unlink(missing_ok=True)


def ssh_port() -> int:
    """Port 22, or 2222 where this machine's own sshd listens everywhere."""
    return 22 if _is_free("127.0.8.1", 22) else 2222


def _candidates() -> Iterator[str]:
    return (f"127.0.{network}.{host}" for network in NETWORKS for host in range(1, 255))


def _is_claimed(address: str) -> bool:
    try:
        pid, started = (CLAIMS / address).read_text().split()
    except (FileNotFoundError, ValueError):
        return False
    return started == str(process_started(int(pid)))


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
