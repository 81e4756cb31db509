"""An address that is sent each message as JSON. A copy has the same `Idempotency-Key`, so it can be dropped."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote

from maintenancebot.delivery.parcel import REST_SECONDS, Attempt, Fate, Parcel
from maintenancebot.model import Json

SECONDS = 15
MOST_WAIT = 3600.0
PASSING = frozenset({408, 425, 429})
"""Answers below 500 that say: later."""
BARRED = frozenset({401, 403, 404, 407, 410})

_LONE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Webhook:
    """An address, and the token that goes along."""

    url: str
    token: str = ""
    name: str = "webhook"

    def send(self, parcel: Parcel) -> Attempt:
        """Post it; only an answer of 2xx says that it is there."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": quote(parcel.key, safe=":", errors="replace")}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url, _document(parcel), headers, method="POST")  # noqa: S310  checked
        try:
            with urllib.request.build_opener(_Stays).open(request, timeout=SECONDS):
                return Attempt(Fate.SENT)
        except HTTPError as error:
            with error:
                return _refusal(error.code, error.headers.get("Retry-After", ""))
        except URLError as error:
            return Attempt(Fate.LATER, f"it cannot be reached: {error.reason}")
        except Exception as error:
            return Attempt(Fate.UNCLEAR, f"it did not answer: {type(error).__name__}: {error}")


class _Stays(urllib.request.HTTPRedirectHandler):
    """Follows nobody elsewhere: the token is for one address."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _document(parcel: Parcel) -> bytes:
    document = {
        "schema": 1,
        "key": parcel.key,
        "kind": parcel.kind,
        "created_at": parcel.created_at.isoformat(),
        "body": _plain(parcel.body),
    }
    return json.dumps(document).encode("ascii")


def _plain(value: Json) -> Json:
    """The value without what no JSON reader must accept: bytes that are not UTF-8 are written out."""
    if isinstance(value, str):
        return _LONE.sub(lambda found: f"\\u{ord(found[0]):04x}", value)
    if isinstance(value, Mapping):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _refusal(status: int, wait: str) -> Attempt:
    told = f"it answered {status} {_phrase(status)}".rstrip()
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in PASSING:
        seconds = min(float(wait), MOST_WAIT) if wait.isascii() and wait.isdigit() else None
        return Attempt(Fate.LATER, told, seconds)
    if status in BARRED or status < HTTPStatus.BAD_REQUEST:
        return Attempt(Fate.LATER, told, REST_SECONDS)
    return Attempt(Fate.REFUSED, told)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
