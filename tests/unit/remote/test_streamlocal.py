"""Unix sockets of a host through a real sshd on the loopback."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from maintenancebot.errors import RemoteError
from maintenancebot.model import Reason
from maintenancebot.remote.streamlocal import open_dial_stdio, open_unix

SSHD = Path("/usr/sbin/sshd")

pytestmark = pytest.mark.skipif(not SSHD.exists(), reason="needs sshd")


class Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data)


class EchoServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 64  # sshd does not wait: a full queue is a refusal


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mb-ssh-") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def echo(folder: Path) -> Iterator[str]:
    path = str(folder / "echo.sock")
    with EchoServer(path, Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield path
        server.shutdown()


def key(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@contextlib.contextmanager
def sshd(folder: Path, *settings: str) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    lines = [f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder / 'host'}", "PidFile none", "StrictModes no"]
    lines += [f"AuthorizedKeysFile {folder / 'user.pub'}", "UsePAM no", *settings]
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own place, which its service would make
    config = folder / f"config-{port}"
    config.write_text("\n".join(lines) + "\n")
    server = subprocess.Popen([str(SSHD), "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        yield port
    finally:
        server.terminate()
        server.wait(timeout=10)


@contextlib.contextmanager
def login(folder: Path, port: int) -> Iterator[paramiko.Transport]:
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        end = time.monotonic() + 10
        while True:
            try:
                client.connect(
                    "127.0.0.1",
                    port,
                    getpass.getuser(),
                    key_filename=str(folder / "user"),
                    allow_agent=False,
                    timeout=5,
                )
                break
            except paramiko.ssh_exception.NoValidConnectionsError:
                assert time.monotonic() < end
        transport = client.get_transport()
        assert transport is not None
        yield transport


@pytest.fixture(scope="module")
def transport(folder: Path) -> Iterator[paramiko.Transport]:
    key(folder, "host"), key(folder, "user")
    with sshd(folder) as port, login(folder, port) as opened:
        yield opened


def test_bytes_go_both_ways(transport: paramiko.Transport, echo: str) -> None:
    channel = open_unix(transport, echo, 5)
    data = os.urandom(1_000_000)
    threading.Thread(target=channel.sendall, args=(data,), daemon=True).start()
    back = b""
    while len(back) < len(data):
        back += channel.recv(65536)
    channel.close()
    assert back == data


def test_many_sockets_at_once_share_the_connection(transport: paramiko.Transport, echo: str) -> None:
    channels = [open_unix(transport, echo, 5) for _ in range(30)]
    for number, channel in enumerate(channels):
        channel.sendall(b"%03d" % number)
    assert [channel.recv(3) for channel in channels] == [b"%03d" % number for number in range(30)]
    for channel in channels:
        channel.close()


def test_an_ordinary_session_works_beside_it(transport: paramiko.Transport, echo: str) -> None:
    channel = open_unix(transport, echo, 5)
    session = transport.open_session(timeout=5)
    session.exec_command("echo well")
    channel.sendall(b"good")
    assert session.makefile().read() == b"well\n"
    assert channel.recv(4) == b"good"
    channel.close()


def test_a_silent_socket_ends_in_a_timeout(transport: paramiko.Transport, folder: Path) -> None:
    path = str(folder / "silent.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        channel = open_unix(transport, path, 5)
        channel.settimeout(0.2)
        with pytest.raises(TimeoutError):
            channel.recv(1)
        channel.close()


@pytest.mark.parametrize("name", ["missing.sock", "echo.sock/below", "config"])
def test_a_path_where_nobody_listens_is_refused(transport: paramiko.Transport, folder: Path, name: str) -> None:
    with pytest.raises(paramiko.ChannelException):
        open_unix(transport, str(folder / name), 5)
    assert transport.is_active()


def test_forwarding_that_sshd_forbids_is_refused(transport: paramiko.Transport, folder: Path, echo: str) -> None:
    with sshd(folder, "AllowStreamLocalForwarding no") as port, login(folder, port) as forbidden:
        with pytest.raises(paramiko.ChannelException):
            open_unix(forbidden, echo, 5)
        assert forbidden.is_active()


def test_an_ended_connection_is_no_answer(transport: paramiko.Transport, folder: Path, echo: str) -> None:
    with sshd(folder) as port, login(folder, port) as ended:
        ended.close()
        with pytest.raises(paramiko.SSHException):
            open_unix(ended, echo, 5)


def test_a_relay_that_cannot_start_says_why(transport: paramiko.Transport, folder: Path) -> None:
    stream = open_dial_stdio(transport, str(folder / "missing.sock"), 10)
    stream.sendall(b"GET /version HTTP/1.1\r\n\r\n")
    with pytest.raises(RemoteError) as caught:
        stream.recv(100)
    assert caught.value.reason in {Reason.NOT_RESPONDING, Reason.LACKS, Reason.BECOME_PASSWORD, Reason.BECOME_REFUSED}
    assert str(caught.value)
    stream.close()


@pytest.mark.parametrize("path", ["/run/a b", "/run/$(id)", "/run/x;id", "relative", "/run/x\n", "/run/'x"])
def test_a_path_that_a_shell_could_read_as_more_is_not_sent(transport: paramiko.Transport, path: str) -> None:
    with pytest.raises(RemoteError) as caught:
        open_dial_stdio(transport, path, 5)
    assert caught.value.reason is Reason.NOT_ALLOWED
