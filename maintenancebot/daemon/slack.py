"""Buttons that are pressed in Slack: who sent it is checked, Slack is answered at once, and then it is acted on."""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from maintenancebot.app import presses
from maintenancebot.app.context import Context
from maintenancebot.app.presses import Press
from maintenancebot.daemon.limits import Limits
from maintenancebot.daemon.vitals import Vitals
from maintenancebot.daemon.webhook import RefusedError, address_of, body_of, refusal
from maintenancebot.daemon.workers import Piece, Workers
from maintenancebot.delivery import slack_answer
from maintenancebot.engine.progress import Progress
from maintenancebot.store import Store

PATH = "/slack/actions"
PATIENCE = 1800.0
"""Seconds for one button, answers to Slack included."""

MEMORY_SECONDS, MOST_REMEMBERED = 600.0, 10_000
"""Slack's signatures are good for five minutes; one that was used is not good again."""

_log = logging.getLogger(__name__)


class Buttons:
    """Takes presses in, and acts on one after the other."""

    def __init__(
        self, context: Callable[[], Context], store: Store, vitals: Vitals, decided: Callable[[], None]
    ) -> None:
        self._context, self._store, self._decided = context, store, decided
        self._workers = Workers("buttons", lambda: 1, vitals)
        self._limits = Limits(time.monotonic)
        self._used: OrderedDict[str, float] = OrderedDict()

    def stop(self, seconds: float) -> bool:
        """Take nothing more; whether what is in hand ended in time."""
        return self._workers.stop(seconds)

    def routes(self) -> list[Route]:
        """The address that the app in Slack is given; there is none without the secret that signs."""
        return [Route(PATH, self._endpoint, methods=["POST"])] if self._context().secrets.slack_signing_secret else []

    async def _endpoint(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except RefusedError as refused:
            return refusal("slack", request, refused)
        except ClientDisconnect:
            return Response(status_code=400)

    async def _answer(self, request: Request) -> Response:
        http = self._context().settings.http
        wait = self._limits.seconds_to_wait(address_of(request), http.requests_per_minute)
        if wait:
            raise RefusedError(429, "too many messages from this address", wait)
        body = await body_of(request, http.max_body_bytes, http.read_timeout)
        self._check_sender(request, body)
        press = _press(body)
        work = partial(self._act, press)
        key = f"button {press.action} {press.value} {press.user}"
        if not self._workers.submit(Piece(key, PATIENCE, work)) and not self._workers.has(key):
            raise RefusedError(503, "the daemon is about to end", 30)
        return Response()

    def _check_sender(self, request: Request, body: bytes) -> None:
        """Raises RefusedError for what Slack did not sign, or signed long ago, or sent before."""
        from slack_sdk.signature import SignatureVerifier

        stamp = request.headers.get("x-slack-request-timestamp", "")
        signature = request.headers.get("x-slack-signature", "")
        verifier = SignatureVerifier(self._context().secrets.slack_signing_secret)
        try:
            is_valid = verifier.is_valid(body, stamp, signature)
        except (ValueError, TypeError, OverflowError):  # no number, no ASCII, no text, no time
            is_valid = False
        if not is_valid:
            raise RefusedError(401, "the signature is not Slack's, or too old")
        if not self._is_new(signature):
            raise RefusedError(409, "this was sent before")

    def _is_new(self, signature: str) -> bool:
        at = time.monotonic()
        while self._used and (len(self._used) > MOST_REMEMBERED or next(iter(self._used.values())) <= at):
            self._used.popitem(last=False)
        known = signature in self._used
        self._used[signature] = at + MEMORY_SECONDS
        return not known

    def _act(self, press: Press, _: Progress) -> None:
        context = self._context()
        answer = presses.act(press, context, self._store)
        self._decided()
        slack = context.settings.slack
        if not slack_answer.is_slacks(press.address, slack.base_url if slack else None):
            problem = "its address is none of Slack's"
        else:
            problem = slack_answer.send(press.address, answer)
        if problem:
            _log.warning("Slack was not told", extra={"action": "button_untold", "told": answer.text, "why": problem})


def _press(body: bytes) -> Press:
    """The pressed button of a request; raises RefusedError for anything else."""
    try:
        told: Any = json.loads(parse_qs(body.decode("utf-8"), strict_parsing=True)["payload"][0])
        if told["type"] != "block_actions":
            raise ValueError(told["type"])
        (action,) = told["actions"]
        user, container = told["user"], told.get("container") or {}
        return Press(
            str(action["action_id"]),
            str(action.get("value", "")),
            str(user["id"]),
            str(user.get("username") or user.get("name") or ""),
            str(container.get("message_ts", "")),
            str(told.get("response_url", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(400, "this is no pressed button") from error
