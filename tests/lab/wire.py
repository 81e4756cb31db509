"""A line to a host that can be cut, stalled or slowed in the middle of a session."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Self

from tests.lab import addresses
from tests.lab.hosts import LabHost

CHUNK = 16384


class Wire:
    """Forwards an own address to a host's sshd: `with Wire(host) as wire: … wire.address, wire.port … wire.cut()`."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self.port = host.port
        self.address = addresses.claim(self.port)
        self.bytes_per_second = 0  # no limit
        self.connections = 0  # ever accepted
        self.refusing = False
        self._open: set[socket.socket] = set()
        self._flowing = threading.Event()
        self._flowing.set()
        self._server = socket.create_server((self.address, self.port), backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def cut(self) -> None:
        """Reset all connections in both directions, now."""
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._open.clear()

    def stall(self) -> None:
        """Let connections stand and nothing through: a half-open link."""
        self._flowing.clear()

    def resume(self) -> None:
        """Let bytes through again."""
        self._flowing.set()

    def close(self) -> None:
        """Cut, and give the address back."""
        self.refusing = True
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.resume()
        self.cut()
        addresses.release(self.address)

    def known_hosts_line(self) -> str:
        """The host's key under this line's address."""
        kind, key, *_ = self.host.read("/etc/ssh/ssh_host_ed25519_key.pub").decode().split()
        place = self.address if self.port == 22 else f"[{self.address}]:{self.port}"
        return f"{place} {kind} {key}\n"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                self.connections += 1
                if self.refusing:
                    near.close()
                    continue
                threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection((self.host.address, self.host.port), timeout=10)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        self._open |= {near, far}
        threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
        self._pump(far, near)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK):
                self._flowing.wait()
                target.sendall(data)
                if self.bytes_per_second:
                    time.sleep(len(data) / self.bytes_per_second)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
