"""`hosts trust` shows a key before it pins it, and a changed key is refused; against a real SSH server."""

import base64
import contextlib
import hashlib
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

COMMAND = Path(sys.executable).with_name("maintenancebot")


class Server:
    """Shows one host key to whoever connects; nobody can log in."""

    def __init__(self) -> None:
        self.key: paramiko.PKey = paramiko.ECDSAKey.generate()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._transports: list[paramiko.Transport] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def fingerprint(self) -> str:
        digest = base64.b64encode(hashlib.sha256(self.key.asbytes()).digest())
        return "SHA256:" + digest.decode("ascii").rstrip("=")

    def change_key(self) -> None:
        self.key = paramiko.ECDSAKey.generate()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self._socket.shutdown(socket.SHUT_RDWR)  # close alone would leave the waiting accept one more guest
        self._thread.join()
        self._socket.close()
        for transport in self._transports:
            transport.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.key)
            self._transports.append(transport)
            transport.start_server(event=threading.Event(), server=paramiko.ServerInterface())


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def trust(server: Server, tmp_path: Path) -> "Trust":
    inventory = tmp_path / "hosts.yaml"
    inventory.write_text(f"hosts: {{web-1: {{address: 127.0.0.1, port: {server.port}, user: maint}}}}\n")
    return Trust(inventory, tmp_path / "state")


class Trust:
    """The installed command with one host in its inventory."""

    def __init__(self, inventory: Path, state: Path) -> None:
        self.known_hosts = state / "known_hosts"
        self._line = [str(COMMAND), "--inventory", str(inventory), "--state-dir", str(state), "hosts", "trust", "web-1"]

    def __call__(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self._line, *options],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )

    def pinned(self) -> str:
        return self.known_hosts.read_text() if self.known_hosts.exists() else ""


def shown(server: Server, note: str) -> str:
    return f"web-1 at 127.0.0.1:{server.port} shows the ecdsa-sha2-nistp256 key\n  {server.fingerprint}\n  {note}\n"


def test_the_right_fingerprint_pins_without_a_question(server: Server, trust: Trust) -> None:
    ended = trust("--fingerprint", server.fingerprint)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == shown(server, "not pinned yet") + "web-1 is trusted.\n"
    assert trust.pinned() == f"[127.0.0.1]:{server.port} ecdsa-sha2-nistp256 {server.key.get_base64()}\n"


def test_another_fingerprint_pins_nothing(server: Server, trust: Trust) -> None:
    other = "SHA256:" + "A" * 43
    ended = trust("--fingerprint", other, "--yes")
    assert ended.returncode == 3
    assert ended.stderr == f"maintenancebot: web-1 does not show {other}; nothing was pinned.\n"
    assert trust.pinned() == ""


@pytest.mark.parametrize("text", ["SHA256:nothing", "MD5:aa:bb", "A" * 43, ""])
def test_what_is_no_fingerprint_is_a_usage_error(trust: Trust, text: str) -> None:
    ended = trust("--fingerprint", text)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "--fingerprint wants SHA256: and 43 characters, as `ssh-keygen -lf` prints it." in ended.stderr
    assert trust.pinned() == ""


def test_without_a_person_the_key_is_shown_and_not_pinned(server: Server, trust: Trust) -> None:
    ended = trust()
    assert ended.returncode == 2
    assert ended.stdout == shown(server, "not pinned yet")
    assert "Error: nobody can be asked here; give --fingerprint SHA256:… (or --yes).\n" in ended.stderr
    assert trust.pinned() == ""


def test_yes_pins_what_is_shown_and_the_same_key_again_is_no_question(server: Server, trust: Trust) -> None:
    assert trust("--yes").returncode == 0
    again = trust()
    assert again.returncode == 0
    assert again.stdout == shown(server, "pinned already") + "web-1 is trusted.\n"


def test_a_changed_key_is_refused_even_with_yes(server: Server, trust: Trust) -> None:
    trust("--yes")
    first, before = server.fingerprint, trust.pinned()
    server.change_key()
    ended = trust("--yes")
    assert ended.returncode == 3
    assert ended.stdout == shown(server, "ANOTHER KEY IS PINNED")
    assert ended.stderr == (
        f"maintenancebot: web-1 showed {first} before; nothing was pinned. "
        "Find out why; after a reinstallation use --replace.\n"
    )
    assert trust.pinned() == before


def test_a_changed_key_is_pinned_with_replace(server: Server, trust: Trust) -> None:
    trust("--yes")
    server.change_key()
    assert trust("--replace", "--fingerprint", server.fingerprint).returncode == 0
    assert server.key.get_base64() in trust.pinned()
    assert len(trust.pinned().splitlines()) == 1


def test_a_host_that_does_not_answer_is_1_with_the_reason(server: Server, trust: Trust) -> None:
    server.close()
    ended = trust("--yes")
    assert ended.returncode == 1
    assert ended.stderr.startswith("maintenancebot: ")
    assert "Traceback" not in ended.stderr
    assert trust.pinned() == ""


def test_a_host_that_is_not_in_the_inventory_is_2(trust: Trust) -> None:
    trust._line[-1] = "web-9"
    ended = trust()
    assert (ended.returncode, ended.stderr) == (
        2,
        "maintenancebot: no host is named 'web-9'; see `maintenancebot hosts`\n",
    )
