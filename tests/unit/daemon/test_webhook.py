"""The webhook over a real socket: who is let in, what is refused, and that a 2xx means that it is on disk."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette

from maintenancebot.daemon import intake as intake_module
from maintenancebot.daemon import webhook
from maintenancebot.daemon.intake import Intake
from maintenancebot.daemon.limits import MOST_ADDRESSES, Limits
from maintenancebot.daemon.vitals import INTAKE, Vitals
from maintenancebot.errors import BusyError, StoreError
from maintenancebot.settings import Secrets, Settings
from maintenancebot.store import Received, Store
from tests.lab.tools import wait_until
from tests.unit.alerts import received
from tests.unit.engine.boxes import cleanup, settings
from tests.unit.store.examples import NOON

TOKEN = "a-token-of-the-test"
ALERT = {"name": "DiskFull", "host": "web-1", "mount": "/var"}


@pytest.fixture
def store(tmp_path: Any) -> Iterator[Store]:
    with Store.open(tmp_path / "state", create=True) as opened:
        yield opened


@pytest.fixture
def intake(store: Store) -> Iterator[Intake]:
    made = Intake(store, Vitals())
    made.start()
    yield made
    assert made.stop(10)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


class Server:
    """uvicorn in a thread, with the settings that a test may exchange."""

    def __init__(self, intake: Intake, secrets: Secrets) -> None:
        self.settings = settings(cleanup())
        app = Starlette(routes=webhook.routes(intake, lambda: self.settings, secrets))
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],))
        self._thread.start()

    def configure(self, **http: Any) -> None:
        self.settings: Settings = settings(cleanup(), http=http)

    def post(
        self,
        body: bytes | dict[str, Any],
        form: str = "generic",
        *,
        token: str | None = TOKEN,
        kind: str = "application/json",
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token is not None else {})}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, f"/webhooks/{form}", data, {**given, **(headers or {})})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        is_json = answer.headers.get("content-type") == "application/json"
        return Answer(
            answer.status, {k.lower(): v for k, v in answer.headers.items()}, json.loads(text) if is_json else text
        )

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def server(intake: Intake) -> Iterator[Server]:
    made = Server(intake, Secrets(webhook_token=TOKEN))
    yield made
    made.close()


def stored(store: Store) -> list[str]:
    return [alert.name for alert in store.alerts.unsettled(100)]


def test_what_was_answered_with_200_is_stored(server: Server, store: Store) -> None:
    answer = server.post({"alerts": [ALERT, {**ALERT, "mount": "/"}]})
    assert (answer.status, answer.body) == (200, {"received": 2})
    assert stored(store) == ["DiskFull", "DiskFull"]
    group = {"status": "firing", "labels": {"alertname": "Other"}, "startsAt": "2026-11-21T12:00:00Z"}
    assert server.post({"version": "4", "alerts": [group]}, "alertmanager").status == 200
    assert stored(store)[2:] == ["Other"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"bearer {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Cookie": f"token={TOKEN}"},
        {"Authorization": "Bearer \xff\xfe"},
    ],
)
def test_without_the_token_nobody_is_let_in(
    server: Server, store: Store, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = server.post({"alerts": [ALERT]}, token=None, headers=headers)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert stored(store) == []
    assert TOKEN not in caplog.text + json.dumps(answer.body)
    assert all(TOKEN not in str(record.__dict__) for record in caplog.records)


def test_who_has_no_token_configured_lets_nobody_in(intake: Intake, store: Store) -> None:
    server = Server(intake, Secrets())
    try:
        for token in ("", "None", None):
            assert server.post({"alerts": [ALERT]}, token=token).status == 401
    finally:
        server.close()
    assert stored(store) == []


def test_where_tls_asks_for_a_certificate_no_token_is_needed(server: Server, store: Store) -> None:
    files = {"certificate": "/etc/x/cert.pem", "key": "/etc/x/key.pem"}
    server.configure(tls=files)
    assert server.post({"alerts": [ALERT]}, token=None).status == 401
    server.configure(tls={**files, "client_ca": "/etc/x/ca.pem"})
    assert server.post({"alerts": [ALERT]}, token=None).status == 200


def test_what_is_no_json_is_refused(server: Server, store: Store) -> None:
    assert server.post({"alerts": [ALERT]}, kind="text/plain").status == 415
    assert server.post({"alerts": [ALERT]}, kind="application/json; charset=utf-8").status == 200
    for body in (b"", b"{", b"[" * 200_000, b"\xff\xfe", b'{"alerts": [' + b"1" * 5000 + b"]}"):
        answer = server.post(body)
        assert answer.status == 400, body[:20]
        assert answer.body["error"]
    assert server.post({"alerts": [ALERT]}, method="PUT").status == 405
    assert server.post({"alerts": [ALERT]}, "other").status == 404
    assert len(stored(store)) == 1


def test_another_version_is_refused_with_words(server: Server) -> None:
    answer = server.post({"version": "3", "alerts": []}, "alertmanager")
    assert answer.status == 400
    assert answer.body["error"].startswith('this is not version "4" of Alertmanager\'s webhook')


def test_a_long_message_is_refused_before_it_is_read(server: Server, store: Store) -> None:
    server.configure(max_body_bytes=2000)
    assert server.post(b" " * 2001).status == 413
    chunked = b"800\r\n" + b" " * 2048 + b"\r\n0\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        head = f"POST /webhooks/generic HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + chunked)
        assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
    assert stored(store) == []


def test_who_does_not_send_on_is_not_waited_for(server: Server) -> None:
    server.configure(read_timeout=1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        head = f"POST /webhooks/generic HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        raw.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 10\r\n\r\n".encode() + b"{")
        assert raw.recv(100).startswith(b"HTTP/1.1 408 ")


def test_an_address_may_send_so_much(server: Server, store: Store) -> None:
    server.configure(requests_per_minute=6)
    statuses = [server.post({"alerts": [ALERT]}, token=token) for token in (TOKEN, "wrong", TOKEN)]
    assert [answer.status for answer in statuses] == [200, 429, 429]
    assert 1 <= int(statuses[-1].headers["retry-after"]) <= 10


def test_what_cannot_be_stored_is_to_be_sent_again(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(rows: Any) -> None:
        raise StoreError("/var/lib/x is full")

    with monkeypatch.context() as patched:
        patched.setattr(store.alerts, "receive", full)
        answer = server.post({"alerts": [ALERT]})
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert answer.body == {"error": "it could not be stored; send it again"}
    assert server.post({"alerts": [ALERT]}).status == 200


def test_when_too_much_waits_senders_are_told_so(server: Server, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, real = threading.Event(), threading.Event(), store.alerts.receive

    def slow(rows: Any) -> None:
        began.set()
        go_on.wait(60)
        real(rows)

    monkeypatch.setattr(store.alerts, "receive", slow)
    monkeypatch.setattr(intake_module, "MOST_QUEUED", 2)
    monkeypatch.setattr(webhook, "STORE_SECONDS", 60)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(server.post, {"alerts": [{**ALERT, "mount": "/0"}]})]
        assert began.wait(20)  # one is in hand: two more may wait
        answers += [pool.submit(server.post, {"alerts": [{**ALERT, "mount": f"/{n}"}]}) for n in range(1, 8)]
        wait_until(lambda: sum(one.done() for one in answers) == 5, "the others are refused")
        go_on.set()
        statuses = sorted(one.result().status for one in answers)
    assert statuses == [200] * 3 + [503] * 5
    assert len(stored(store)) == 3


def test_the_thread_stores_together_what_has_queued_up_and_wakes_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    hold, real, began = threading.Event(), store.alerts.receive, threading.Event()

    def receive(rows: list[Received]) -> None:
        began.set()
        hold.wait(20)
        batches.append(len(rows))
        real(rows)

    monkeypatch.setattr(store.alerts, "receive", receive)
    vitals, woken = Vitals(), list[int]()
    intake = Intake(store, vitals)
    intake.wake = lambda: woken.append(1)
    intake.start()
    first = intake.put([received(NOON, "k0")])
    assert began.wait(20)
    rest = [intake.put([received(NOON, f"k{number}")]) for number in range(1, 50)]
    gone = intake.put([received(NOON, "k50")])
    assert gone.cancel(), "who does not wait any more"
    hold.set()
    for future in (first, *rest):
        future.result(20)
    assert intake.stop(20)
    assert (batches, len(woken)) == ([1, 50], 2)
    assert len(store.alerts.unsettled(100)) == 51
    assert vitals.age(INTAKE) < 60
    with pytest.raises(BusyError, match="no alerts are taken in now"):
        intake.put([received(NOON)])


def test_what_has_queued_up_is_stored_at_a_stop(store: Store) -> None:
    intake = Intake(store, Vitals())
    with pytest.raises(BusyError):
        intake.put([received(NOON)])
    intake.start()
    futures = [intake.put([received(NOON, f"k{number}")]) for number in range(200)]
    assert intake.stop(20)
    assert all(future.result(0) is None for future in futures)
    assert len(store.alerts.unsettled(500)) == 200


def test_limits_are_per_address_and_bounded() -> None:
    now = 0.0
    limits = Limits(lambda: now)
    assert [limits.seconds_to_wait("a", 60) for _ in range(10)] == [0.0] * 10
    assert limits.seconds_to_wait("a", 60) == pytest.approx(1)
    assert limits.seconds_to_wait("b", 60) == 0
    now = 1.0
    assert limits.seconds_to_wait("a", 60) == 0
    assert limits.seconds_to_wait("a", 60) > 0
    for number in range(MOST_ADDRESSES + 5):
        limits.seconds_to_wait(str(number), 60)
    assert len(limits._buckets) == MOST_ADDRESSES
