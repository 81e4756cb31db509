"""The webhook: who may send, how much, in which form; what came in is on disk before the answer says so.

Nothing is worked on here, and nothing of a message becomes a command or a path: it becomes rows for the intake.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from maintenancebot.daemon import alert_forms
from maintenancebot.daemon.alert_forms import FormError, Message
from maintenancebot.daemon.intake import Intake
from maintenancebot.daemon.limits import Limits
from maintenancebot.errors import BusyError, StoreError
from maintenancebot.settings import Secrets, Settings

STORE_SECONDS = 8
"""Alertmanager gives up after ten; who was not answered sends again, which costs nothing."""

RETRY_SECONDS = 5
READ_AT_ONCE = 64 * 1024
"""Larger messages are read beside the others, not between them."""

Form = Callable[[Any, datetime], Message]
FORMS: dict[str, Form] = {"alertmanager": alert_forms.alertmanager, "generic": alert_forms.generic}

_log = logging.getLogger(__name__)


class RefusedError(Exception):
    """The message is not taken; the sender is told so."""

    def __init__(self, status: int, told: str, retry: float = 0) -> None:
        super().__init__(told)
        self.status, self.told, self.retry = status, told, retry


def routes(intake: Intake, settings: Callable[[], Settings], secrets: Secrets) -> list[Route]:
    """A route for each form; `settings` is asked for each message, so that a reload holds at once."""
    limits = Limits(time.monotonic)
    return [
        Route(f"/webhooks/{name}", _Endpoint(name, form, intake, settings, secrets, limits), methods=["POST"])
        for name, form in FORMS.items()
    ]


class _Endpoint:
    """One form's way in."""

    def __init__(
        self,
        name: str,
        form: Form,
        intake: Intake,
        settings: Callable[[], Settings],
        secrets: Secrets,
        limits: Limits,
    ) -> None:
        self.__name__ = name
        self._form, self._intake, self._settings, self._limits = form, intake, settings, limits
        self._token = secrets.webhook_token.encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except RefusedError as refused:
            response = refusal(self.__name__, request, refused)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        settings = self._settings()
        wait = self._limits.seconds_to_wait(address_of(request), settings.http.requests_per_minute)
        if wait:
            raise RefusedError(429, "too many messages from this address", wait)
        self._check_sender(request, settings)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise RefusedError(415, "the message must be application/json")
        body = await body_of(request, settings.http.max_body_bytes, settings.http.read_timeout)
        message = await self._read(body)
        await self._store(message)
        if message.truncated or message.unreadable:
            counts = {"truncated": message.truncated, "unreadable": message.unreadable}
            _log.warning("a message did not hold all of its alerts", extra={"action": "alerts_missing", **counts})
        return JSONResponse({"received": len(message.alerts)})

    def _check_sender(self, request: Request, settings: Settings) -> None:
        tls = settings.http.tls
        if tls is not None and tls.client_ca is not None:
            return  # TLS let nobody in without a certificate of this authority
        given = request.headers.get("authorization", "").encode("utf-8", "surrogateescape")
        if not self._token or not hmac.compare_digest(given, b"Bearer " + self._token):
            raise RefusedError(401, "a token is needed: `Authorization: Bearer TOKEN`")

    async def _read(self, body: bytes) -> Message:
        try:
            if len(body) > READ_AT_ONCE:
                return await asyncio.to_thread(self._parse, body)
            return self._parse(body)
        except FormError as error:
            raise RefusedError(400, str(error)) from error
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, "the message is no JSON") from error

    def _parse(self, body: bytes) -> Message:
        return self._form(json.loads(body), datetime.now(UTC))

    async def _store(self, message: Message) -> None:
        try:
            await asyncio.wait_for(asyncio.wrap_future(self._intake.put(message.alerts)), STORE_SECONDS)
        except (StoreError, TimeoutError) as error:
            told = str(error) if isinstance(error, BusyError) else "it could not be stored"
            raise RefusedError(503, f"{told}; send it again", RETRY_SECONDS) from error


async def body_of(request: Request, most: int, seconds: int) -> bytes:
    """The whole body; raises RefusedError when it is too long, or does not arrive."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise RefusedError(413, f"the message is longer than {most} bytes")
    data = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                data += chunk
                if len(data) > most:
                    raise RefusedError(413, f"the message is longer than {most} bytes")
    except TimeoutError as error:
        raise RefusedError(408, f"the message did not arrive within {seconds} s") from error
    return bytes(data)


def refusal(form: str, request: Request, refused: RefusedError) -> Response:
    level = logging.DEBUG if refused.status == 429 else logging.WARNING  # who floods us does not flood the log
    facts = {"form": form, "sender": address_of(request), "status": refused.status, "told": refused.told}
    _log.log(level, "a message was refused", extra={"action": "message_refused", **facts})
    headers = {"Retry-After": str(math.ceil(refused.retry))} if refused.retry else {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.status in (408, 413):
        headers["Connection"] = "close"  # the rest of the body is not waited for
    return JSONResponse({"error": refused.told}, refused.status, headers)


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""
