"""What lies behind a docker socket may be silent, broken or something else; met with real sockets and real HTTP.

A real dockerd is met in tests/integration/test_containers.py.
"""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason
from maintenancebot.remote import docker_socket
from maintenancebot.remote.local import LocalSession
from tests.fakes.daemon import VERSION, Answers, serving

SESSION = LocalSession(Host("here", "127.0.0.1", connection="local"), 5)
PODMAN = {"Version": "4.3.1", "ApiVersion": "1.41", "Components": [{"Name": "Podman Engine", "Version": "4.3.1"}]}


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mb-") as folder:
        yield str(Path(folder) / "docker.sock")


@contextlib.contextmanager
def raw(path: str, behave: Callable[[socket.socket], None]) -> Iterator[None]:
    """Something that speaks no HTTP, or HTTP of its own."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = listener.accept()
                    with peer, contextlib.suppress(OSError):
                        behave(peer)

        threading.Thread(target=serve, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


def reason(path: str, timeout: float = 1, deadline: float = 2) -> Reason:
    with pytest.raises(RemoteError) as caught:
        docker_socket.connect(SESSION, path, timeout=timeout, deadline=deadline)
    return caught.value.reason


def test_the_engine_is_told_by_its_components(path: str) -> None:
    with serving(path, {"/version": (200, VERSION)}), docker_socket.connect(SESSION, path) as daemon:
        assert (daemon.engine, daemon.version, daemon.api) == ("docker", "28.2.2", (1, 50))


def test_podman_is_told_apart(path: str) -> None:
    with serving(path, {"/version": (200, PODMAN)}), docker_socket.connect(SESSION, path) as daemon:
        assert daemon.engine == "podman"


@pytest.mark.parametrize(("version", "dead"), [(VERSION, True), (PODMAN, False)])
def test_podman_is_not_asked_for_a_state_that_it_does_not_know(path: str, version: dict[str, str], dead: bool) -> None:
    answers: Answers = {"/version": (200, version)}
    answers |= {f"/v1.{minor}/containers/json": (200, []) for minor in (41, 50)}
    with serving(path, answers) as server, docker_socket.connect(SESSION, path) as daemon:
        assert daemon.stopped() == []
    assert ("dead" in server.asked[-1]) is dead


def test_a_newer_api_is_asked_in_the_newest_version_that_is_known(path: str) -> None:
    answers: Answers = {"/version": (200, VERSION | {"ApiVersion": "1.60"}), "/v1.51/images/json": (200, [])}
    with serving(path, answers) as server, docker_socket.connect(SESSION, path) as daemon:
        assert daemon.images() == []
    assert server.asked == ["GET /version", "GET /v1.51/images/json?only_ids=0&all=1"]


def test_all_calls_share_one_connection(path: str) -> None:
    answers: Answers = {"/version": (200, VERSION), "/v1.50/images/json": (200, [])}
    with serving(path, answers) as server, docker_socket.connect(SESSION, path) as daemon:
        for _ in range(20):
            daemon.images()
        assert server.connections == 1


def test_null_lists_are_empty_lists(path: str) -> None:
    answers: Answers = {
        "/version": (200, VERSION),
        "/v1.50/images/json": (200, None),
        "/v1.50/containers/json": (200, None),
        "/v1.50/volumes": (200, {"Volumes": None, "Warnings": None}),
    }
    with serving(path, answers), docker_socket.connect(SESSION, path) as daemon:
        assert daemon.images() == daemon.containers() == daemon.volumes() == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, Reason.VANISHED), (409, Reason.IN_USE), (403, Reason.BECOME_REFUSED), (500, Reason.TOOL_FAILED)],
)
def test_a_refusal_keeps_its_meaning_and_its_words(path: str, status: int, expected: Reason) -> None:
    answers: Answers = {"/version": (200, VERSION), "/v1.50/images/x/json": (status, {"message": "said so\nhere"})}
    with (
        serving(path, answers),
        docker_socket.connect(SESSION, path) as daemon,
        pytest.raises(RemoteError) as caught,
    ):
        daemon.image("x")
    assert (caught.value.reason, str(caught.value)) == (expected, "said so here")


def test_sizes_are_asked_for_the_kinds_that_matter_where_the_daemon_can(path: str) -> None:
    answers: Answers = {"/version": (200, VERSION), "/v1.50/system/df": (200, {"BuildCache": None})}
    with serving(path, answers) as server, docker_socket.connect(SESSION, path) as daemon:
        assert daemon.usage("build-cache", "volume") == {"BuildCache": None}
    assert server.asked[-1] == "GET /v1.50/system/df?type=build-cache&type=volume"


def test_neither_environment_nor_docker_configuration_of_this_machine_is_used(
    path: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"HttpHeaders": {"X-Secret": "1"}, "proxies": {"default": {}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serving(path, {"/version": (200, VERSION)}) as server, docker_socket.connect(SESSION, path):
        assert "X-Secret" not in server.headers[0]


def test_nobody_there(path: str) -> None:
    assert reason(path) is Reason.NOT_RESPONDING


def test_a_socket_that_nobody_serves_any_more(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    assert reason(path) is Reason.NOT_RESPONDING


def test_silence(path: str) -> None:
    with raw(path, lambda peer: peer.recv(1 << 20) and threading.Event().wait(5) and None):
        assert reason(path, timeout=0.3) is Reason.NOT_RESPONDING


def test_silence_ends_at_the_deadline_even_when_a_single_answer_may_take_longer(path: str) -> None:
    begun = time.monotonic()
    with raw(path, lambda peer: peer.recv(1 << 20) and threading.Event().wait(5) and None):
        assert reason(path, timeout=4, deadline=0.3) is Reason.NOT_RESPONDING
    assert time.monotonic() - begun < 3


def test_a_daemon_that_hangs_up(path: str) -> None:
    with raw(path, lambda peer: None):
        assert reason(path) is Reason.NOT_RESPONDING


def drip(peer: socket.socket) -> None:
    """One byte at a time, each in time, for ever."""
    peer.recv(1 << 16)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        peer.sendall(b" ")
        time.sleep(0.02)


def test_an_answer_that_never_ends_is_cut_off_at_the_deadline(path: str) -> None:
    begun = time.monotonic()
    with raw(path, drip):
        assert reason(path, timeout=5, deadline=0.5) is Reason.NOT_RESPONDING
    assert time.monotonic() - begun < 3


def flood(peer: socket.socket) -> None:
    peer.recv(1 << 16)
    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n")
    while True:
        peer.sendall(b" " * 65536)


def test_an_answer_without_bounds_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_socket, "RECEIVED_CAP", 1_000_000)
    with raw(path, flood):
        assert reason(path, deadline=20) is Reason.GARBLED


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"\x00\xff\xfe" * 100 + b"\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{"some": "other service"}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xff\xfe\xfd\xfc",
    ],
)
def test_what_is_no_docker_is_said_to_be_none(path: str, answer: bytes) -> None:
    def behave(peer: socket.socket) -> None:
        peer.recv(1 << 16)
        peer.sendall(answer)
        peer.shutdown(socket.SHUT_WR)
        peer.recv(1)

    with raw(path, behave):
        assert reason(path) is Reason.GARBLED


def test_a_daemon_in_trouble_is_a_failed_tool(path: str) -> None:
    with serving(path, {"/version": (500, {"message": "panic"})}):
        assert reason(path) is Reason.TOOL_FAILED


def test_a_version_that_is_none_is_garbled_and_one_too_old_unsupported(path: str) -> None:
    with serving(path, {"/version": (200, VERSION | {"ApiVersion": "new"})}) as server:
        assert reason(path) is Reason.GARBLED
        server.answers["/version"] = (200, VERSION | {"ApiVersion": "1.12"})
        assert reason(path) is Reason.UNSUPPORTED
