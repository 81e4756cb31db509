"""The daemon's own server: one thread, TLS where it is configured, and nobody may keep a connection for nothing."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from uvicorn.protocols.http.h11_impl import H11Protocol

from maintenancebot.daemon.logs import about
from maintenancebot.errors import ListenError, UsageError
from maintenancebot.settings import Http

START_SECONDS = 10.0
POLL_SECONDS = 0.01
MOST_AT_ONCE = 500
BACKLOG = 1024
MOST_HEADER_BYTES = 32 * 1024

_log = logging.getLogger(__name__)


class Server:
    """Serves routes, which may be exchanged while it runs."""

    def __init__(self, http: Http, routes: Sequence[BaseRoute]) -> None:
        self._http = http
        self._app = Starlette(routes=list(routes))
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def serve(self, routes: Sequence[BaseRoute]) -> None:
        """Serve these from the next request on, in place of all others."""
        self._app = Starlette(routes=list(routes))

    def start(self) -> int:
        """Listen, and return the port; raises ListenError, and UsageError for files that cannot be used."""
        listening = self._listen()
        self._server = uvicorn.Server(self._configuration())
        self._thread = threading.Thread(target=self._run, args=(listening,), name="server", daemon=True)
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < until:
            time.sleep(POLL_SECONDS)
        if not self._server.started:
            raise ListenError(f"the server on {self._http.host} port {self._http.port} did not start; see the log")
        return int(listening.getsockname()[1])

    def stop(self, seconds: float) -> bool:
        """Take nothing more, let answers end within the time; whether all did. Again does nothing."""
        if self._server is None or self._thread is None:
            return True
        self._server.should_exit = True
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, listening: socket.socket) -> None:
        assert self._server is not None
        try:
            self._server.run(sockets=[listening])
        except (Exception, SystemExit):
            _log.exception("the server ended", extra={"action": "fault", "part": "server"})
        finally:
            listening.close()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        with about(request=secrets.token_hex(6)):
            await self._app(scope, receive, send)

    def _listen(self) -> socket.socket:
        http = self._http
        family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
        try:
            listening = socket.create_server((http.host, http.port), family=family, backlog=BACKLOG)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else error
            raise ListenError(f"{http.host} port {http.port}: {why}; write another `http.port`") from error
        # Connections inherit it; without it the end of each answer waits 40 ms for the start to be acknowledged.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening

    def _configuration(self) -> uvicorn.Config:
        tls = self._http.tls
        files: dict[str, Any] = {}
        if tls is not None:
            files = {"ssl_certfile": tls.certificate, "ssl_keyfile": tls.key}
            if tls.client_ca is not None:
                files |= {"ssl_ca_certs": str(tls.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED}
        config = uvicorn.Config(
            self._answer,
            http=_impatient(self._http.read_timeout),
            ws="none",
            loop="asyncio",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_AT_ONCE,
            timeout_graceful_shutdown=self._http.read_timeout,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            **files,
        )
        try:
            config.load()
        except (OSError, ValueError) as error:
            raise UsageError(f"the files of `http.tls` cannot be used: {error}") from error
        return config


def _impatient(seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, which closes a connection on which no request arrives in this time.

    By itself it would wait for the rest of a header for ever.
    """

    class Impatient(H11Protocol):
        seen: Any = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.timer = self.loop.call_later(seconds, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            self.timer.cancel()
            super().connection_lost(exc)

        def _look(self) -> None:
            if self.cycle is self.seen and (self.cycle is None or self.cycle.response_complete):
                self.transport.close()
                return
            self.seen = self.cycle
            self.timer = self.loop.call_later(seconds, self._look)

    return Impatient
