"""A client that asks an ASGI application without a socket: one request, one answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, and body."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Asks routes, as if from an address."""

    routes: Sequence[BaseRoute]
    address: str = "127.0.0.1"

    def get(self, path: str, **headers: str) -> Answer:
        """`X_Forwarded_For="..."` is the header X-Forwarded-For."""
        return self.ask("GET", path, b"", **headers)

    def ask(self, method: str, path: str, body: bytes, **headers: str) -> Answer:
        lines = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": lines,
            "client": (self.address, 4711),
        }
        return asyncio.run(self._asked(scope, body))

    async def _asked(self, scope: MutableMapping[str, Any], body: bytes) -> Answer:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await Starlette(routes=self.routes)(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))
