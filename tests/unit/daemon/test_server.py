"""The server: real sockets, TLS with certificates, clients that keep connections for nothing."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maintenancebot.daemon.server import Server
from maintenancebot.errors import ListenError, UsageError
from maintenancebot.settings import Http
from tests.fakes.certificates import Made, make

SECONDS = 10


async def hello(_: Request) -> Response:
    return JSONResponse({"hello": "world"})


ROUTES = [Route("/hello", hello)]
Start = Callable[..., tuple[Server, int]]


@pytest.fixture
def start() -> Iterator[Start]:
    made: list[Server] = []

    def begin(routes: list[Route] | None = None, **http: object) -> tuple[Server, int]:
        server = Server(Http.model_validate({"port": 0, **http}), routes or ROUTES)
        made.append(server)
        return server, server.start()

    yield begin
    for server in made:
        assert server.stop(SECONDS)


def get(port: int, path: str = "/hello") -> object:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=SECONDS) as answer:
        return json.load(answer)


def test_what_is_served_may_be_exchanged(start: Start) -> None:
    server, port = start()
    assert get(port) == {"hello": "world"}
    server.serve([Route("/other", hello)])
    assert get(port, "/other") == {"hello": "world"}
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(port)


def test_a_port_that_is_taken_is_a_usage_error(start: Start) -> None:
    _, port = start()
    with pytest.raises(ListenError, match=f"^127.0.0.1 port {port}: Address already in use; "):
        Server(Http(port=port), ROUTES).start()


def test_a_stop_frees_the_port_and_a_second_one_does_nothing(start: Start) -> None:
    server, port = start()
    get(port)
    assert server.stop(SECONDS)
    assert server.stop(SECONDS)
    with socket.create_server(("127.0.0.1", port)):
        pass


@pytest.mark.parametrize("sent", [b"", b"GET /hello HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_who_sends_no_request_is_shown_out(start: Start, sent: bytes) -> None:
    _, port = start(read_timeout=1)
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as client:
        client.sendall(sent)
        began = time.monotonic()
        assert client.recv(100) == b""
        assert time.monotonic() - began < 5


def test_an_answer_that_takes_longer_than_that_is_given(start: Start) -> None:
    release = threading.Event()

    def slow(_: Request) -> Response:
        release.wait(SECONDS)
        return JSONResponse({"slow": True})

    _, port = start([Route("/slow", slow), *ROUTES], read_timeout=1)
    threading.Timer(2.5, release.set).start()
    assert get(port, "/slow") == {"slow": True}


def test_a_fault_in_a_route_is_no_answer_with_its_text(start: Start) -> None:
    async def broken(_: Request) -> Response:
        raise ValueError("inner workings")

    _, port = start([Route("/broken", broken)])
    with pytest.raises(urllib.error.HTTPError, match="500") as caught:
        get(port, "/broken")
    assert b"inner workings" not in caught.value.read()


def with_tls(tmp_path: Path, authority: Made) -> dict[str, str]:
    server = make("127.0.0.1", authority, names=("localhost",))
    for name, data in (("server.pem", server.pem), ("server.key", server.key_pem), ("ca.pem", authority.pem)):
        (tmp_path / name).write_bytes(data)
    places = {"certificate": "server.pem", "key": "server.key", "client_ca": "ca.pem"}
    return {name: str(tmp_path / place) for name, place in places.items()}


def client_of(tmp_path: Path, made: Made | None) -> ssl.SSLContext:
    client = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    if made is not None:
        (tmp_path / "client.pem").write_bytes(made.pem + made.key_pem)
        client.load_cert_chain(tmp_path / "client.pem")
    return client


def test_with_an_authority_of_clients_nobody_else_gets_in(start: Start, tmp_path: Path) -> None:
    authority = make("our authority", authority=True)
    _, port = start(tls=with_tls(tmp_path, authority))
    url = f"https://localhost:{port}/hello"
    known = client_of(tmp_path, make("alertmanager", authority))
    with urllib.request.urlopen(url, timeout=SECONDS, context=known) as answer:
        assert json.load(answer) == {"hello": "world"}
    for stranger in (None, make("alertmanager", make("another authority", authority=True))):
        with pytest.raises(OSError):  # noqa: PT011  refused by TLS, or cut off: as the version of TLS has it
            urllib.request.urlopen(url, timeout=SECONDS, context=client_of(tmp_path, stranger))


def test_files_of_tls_that_cannot_be_used_are_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    tls = {"certificate": str(tmp_path / "bad.pem"), "key": str(tmp_path / "bad.pem")}
    with pytest.raises(UsageError, match=r"^the files of `http\.tls` cannot be used"):
        Server(Http.model_validate({"port": 0, "tls": tls}), ROUTES).start()
