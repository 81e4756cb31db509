"""The endpoint of a model on loopback, with the true wire format: it counts tokens, and can fail in many ways.

`fake.plan = ["429:3", "hang", ""]` says what happens to the next calls; an empty word, or none left, means an answer.
It counts as no real endpoint does: a token for each byte, which is the most that there can be.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-ant-of-a-test-0123456789abcdef"

Answering = Callable[[dict[str, Any]], Any]
"""From a request to the text of the answer, or to what is dumped as its JSON."""


class Fake(ThreadingHTTPServer):
    """What is known as the endpoint."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.plan: list[str] = []
        self.answering: Answering = lambda _: {"text": "3 hosts failed."}
        self.requests: list[dict[str, Any]] = []
        self.counted: list[tuple[int, int]] = []  # input and output tokens of each call that was paid for
        self.released = threading.Event()
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def tokens(self) -> int:
        """All that was ever used."""
        return sum(read + written for read, written in self.counted)

    def handle_error(self, request: object, client_address: object) -> None:
        """A broken connection is what many tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Fake

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append(request)
            fault = self.server.plan.pop(0) if self.server.plan else ""
        objection = self._objection(request)
        if objection:
            self._fail(*objection)
        elif fault[:3].isdigit():
            self._fail(int(fault[:3]), "an_error", fault.partition(":")[2])
        else:
            getattr(self, f"_{fault or 'answer'}")(request)

    def _objection(self, request: dict[str, Any]) -> tuple[int, str] | None:
        given = self.headers.get("Authorization", "") + self.headers.get("x-api-key", "")
        if KEY not in given:
            return 401, "authentication_error"
        if self.path not in ("/v1/messages", "/v1/messages/count_tokens"):
            return 404, "not_found_error"
        if (
            "anthropic-version" not in self.headers
            or not request["messages"]
            or request["messages"][0]["role"] != "user"
        ):
            return 400, "invalid_request_error"
        return None

    def _answer(self, request: dict[str, Any]) -> None:
        self._send(self._message(request))

    def _message(self, request: dict[str, Any], *, paid: bool = True) -> bytes:
        told = self.server.answering(request)
        text = told if isinstance(told, str) else json.dumps(told)
        words = (request["system"], *(turn["content"] for turn in request["messages"]))
        schema = json.dumps(request.get("output_config", {}))
        read = sum(len(word.encode()) for word in words) + len(schema) + 100
        written = min(len(text.encode()), request["max_tokens"])
        if paid:
            with self.server.lock:
                self.server.counted.append((read, written))
        return json.dumps(
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": request["model"],
                "content": [{"type": "text", "text": text}],
                "stop_reason": "end_turn" if written == len(text.encode()) else "max_tokens",
                "stop_sequence": None,
                "usage": {"input_tokens": read, "output_tokens": written},
            }
        ).encode()

    def _hang(self, request: dict[str, Any]) -> None:
        self.close_connection = True
        self.server.released.wait(30)

    def _drip(self, request: dict[str, Any]) -> None:
        """A letter now and then, for ever."""
        self.close_connection = True
        self._head(10_000_000)
        while not self.server.released.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()

    def _slow_head(self, request: dict[str, Any]) -> None:
        """A header now and then, for ever."""
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.server.released.wait(0.05):
            self.wfile.write(b"x: y\r\n")
            self.wfile.flush()

    def _half(self, request: dict[str, Any]) -> None:
        """The answer is cut off in its middle, and paid for."""
        body = self._message(request)
        self._send(body[: len(body) // 2])

    def _broken(self, request: dict[str, Any]) -> None:
        """The connection breaks in the middle of the answer, which is paid for."""
        self.close_connection = True
        body = self._message(request)
        self._head(len(body))
        self.wfile.write(body[: len(body) // 2])

    def _huge(self, request: dict[str, Any]) -> None:
        """An answer that would do, if it were not 10 MB long."""
        self.close_connection = True
        body = self._message(request)
        self._head(10_000_000 + len(body))
        for _ in range(10):
            self.wfile.write(b" " * 1_000_000)
        self.wfile.write(body)

    def _page(self, request: dict[str, Any]) -> None:
        """What a proxy in between would say."""
        self._send(b"<html>Welcome to this network</html>")

    def _declined(self, request: dict[str, Any]) -> None:
        message = json.loads(self._message(request))
        self._send(json.dumps({**message, "stop_reason": "refusal", "content": []}).encode())

    def _odd(self, request: dict[str, Any]) -> None:
        """An answer whose count of tokens is none."""
        message = json.loads(self._message(request))
        self._send(json.dumps({**message, "usage": {"input_tokens": -5, "output_tokens": "many"}}).encode())

    def _elsewhere(self, request: dict[str, Any]) -> None:
        self.send_response(307)
        self.send_header("Location", f"{self.server.address}/v1/messages")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _fail(self, status: int, kind: str, retry_after: str = "") -> None:
        error = {"type": "error", "error": {"type": kind, "message": f"the key {KEY} did not do"}}
        self._send(json.dumps(error).encode(), status, retry_after)

    def _head(self, length: int, status: int = 200, retry_after: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()

    def _send(self, body: bytes, status: int = 200, retry_after: str = "") -> None:
        self._head(len(body), status, retry_after)
        self.wfile.write(body)


@contextmanager
def endpoint() -> Iterator[Fake]:
    """An endpoint that listens."""
    with Fake() as fake:
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            fake.released.set()
            fake.shutdown()
            thread.join()
