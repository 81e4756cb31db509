"""A docker daemon that is only its HTTP: answers by path, on a real unix socket."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingUnixStreamServer

from maintenancebot.model import Json

VERSION = {"Version": "28.2.2", "ApiVersion": "1.50", "Components": [{"Name": "Engine", "Version": "28.2.2"}]}

Answer = tuple[int, Json]
Answers = dict[str, Answer | list[Answer]]
"""Path, or method and path -> status and body; a list is answered one after the other, its last one for ever."""


class Server(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        super().__init__(path, Handler)


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def address_string(self) -> str:
        return "socket"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _answer(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.server.headers.append(dict(self.headers))
        path = self.path.partition("?")[0]
        known = self.server.answers
        answer = known.get(f"{self.command} {path}") or known.get(path) or (404, {"message": f"no such thing: {path}"})
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        status, body = answer
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_DELETE = do_POST = _answer  # noqa: N815  the names that http.server looks for


@contextlib.contextmanager
def serving(path: str, answers: Answers) -> Iterator[Server]:
    with Server(path, answers) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()
