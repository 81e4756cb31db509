"""One call of the model's endpoint: it ends in time, takes a bounded answer, and says whether it may cost anything."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from maintenancebot.model import Json
from maintenancebot.policy.spending import Silence
from maintenancebot.settings import Llm

if TYPE_CHECKING:
    from anthropic import APIStatusError

ADDRESS = "https://api.anthropic.com"
MOST_BYTES = 1 << 20
"""Of an answer; the longest one that can be asked for is far shorter."""

_OVERHEAD = 512
"""Tokens that the endpoint adds by itself: roles, and what it tells the model about the form of the answer."""

_OF_A_TURN = 16
_INPUT = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")


@dataclass(frozen=True)
class Request:
    """What is sent."""

    system: str
    turns: tuple[str, ...]  # the user's and the model's, in turns
    schema: Mapping[str, Json]  # of the answer

    @property
    def most_input(self) -> int:
        """No fewer tokens than any endpoint counts: a token is at least one byte."""
        words = (self.system, *self.turns, json.dumps(self.schema))
        return sum(len(text.encode()) + _OF_A_TURN for text in words) + _OVERHEAD


@dataclass(frozen=True)
class Reply:
    """What came back."""

    text: str
    input_tokens: int
    output_tokens: int
    reason: Silence = Silence.NONE  # UNUSABLE: it is no whole answer, and is paid for all the same


@dataclass(frozen=True)
class Failure:
    """Why nothing came back."""

    reason: Silence
    detail: str
    free: bool  # for certain; what is not known to be free is paid for
    not_before: datetime | None = None  # the endpoint wants no call until then


class Client:
    """Calls one endpoint with one key; never by itself a second time."""

    def __init__(self, rules: Llm, key: str) -> None:
        self._rules, self._key = rules, key

    def send(self, request: Request, seconds: float) -> Reply | Failure:
        """Ask, and wait no longer than this for the answer."""
        late = Failure(Silence.LATE, f"no answer within {seconds:.0f} s", free=False)
        # An endpoint that sends a letter now and then never runs into a limit on silence.
        return _within(seconds, lambda until: self._send(request, until), late)

    def _send(self, request: Request, until: float) -> Reply | Failure:
        import anthropic

        address = str(self._rules.base_url or ADDRESS)
        limit = max(0.1, until - monotonic())
        # Whoever answers with a redirection gets neither the key nor the facts.
        http = anthropic.DefaultHttpxClient(follow_redirects=False, timeout=limit)
        try:
            with (
                anthropic.Anthropic(
                    api_key=self._key, base_url=address, timeout=limit, max_retries=0, http_client=http
                ) as client,
                client.messages.with_streaming_response.create(**self._arguments(request)) as response,
            ):
                return _read(_bounded(response.iter_bytes(), until))
        except anthropic.APIStatusError as error:
            return _refused(error)
        except anthropic.APIConnectionError as error:
            return _broken(error.__cause__ or error)
        except Exception as error:  # whatever it is, the run goes on without an answer
            return _broken(error)

    def _arguments(self, request: Request) -> dict[str, Any]:
        roles = ("user", "assistant")
        return {
            "model": self._rules.model,
            "max_tokens": self._rules.max_tokens,
            "system": request.system,
            "messages": [{"role": roles[at % 2], "content": text} for at, text in enumerate(request.turns)],
            "output_config": {"format": {"type": "json_schema", "schema": dict(request.schema)}},
        }


def _within(seconds: float, call: Callable[[float], Reply | Failure], late: Failure) -> Reply | Failure:
    """What a call gives back within this time; one that takes longer is left to itself, and ends on its own limits."""
    until, given = monotonic() + seconds, list[Reply | Failure]()
    worker = threading.Thread(target=lambda: given.append(call(until)), name="model", daemon=True)
    worker.start()
    worker.join(seconds)
    return given[0] if given else late


def _bounded(chunks: Iterator[bytes], until: float) -> bytes:
    parts, length = [], 0
    for chunk in chunks:
        parts.append(chunk)
        length += len(chunk)
        if length > MOST_BYTES:
            raise ValueError(f"the answer is longer than {MOST_BYTES} bytes")
        if monotonic() > until:
            raise TimeoutError("the answer was not whole in time")
    return b"".join(parts)


def _read(body: bytes) -> Reply | Failure:
    try:
        answer = json.loads(body)
        usage = answer["usage"]
        spent = sum(_count(usage, name) for name in _INPUT)
        text = "".join(str(part["text"]) for part in answer["content"] if part["type"] == "text")
        reason = Silence.NONE if answer["stop_reason"] == "end_turn" else Silence.UNUSABLE
        return Reply(text, spent, _count(usage, "output_tokens"), reason)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return Failure(Silence.UNREADABLE, f"the answer cannot be read: {type(error).__name__}", free=False)


def _count(usage: Any, name: str) -> int:
    value = usage.get(name) or 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is no number of tokens")
    return value


def _refused(error: APIStatusError) -> Failure:
    """Only the number of the status is told: what an endpoint writes may repeat what it was sent."""
    status, told = error.status_code, f"the endpoint answered {error.status_code}"
    if status in (401, 403):
        return Failure(Silence.KEY_REFUSED, told, free=True)
    if status == 429:
        return Failure(Silence.RATE_LIMITED, told, free=True, not_before=_retry_after(error.response.headers))
    if status < 500:
        return Failure(Silence.REQUEST_REFUSED, told, free=True)
    return Failure(Silence.ENDPOINT_FAILED, told, free=False, not_before=_retry_after(error.response.headers))


def _retry_after(headers: Mapping[str, str]) -> datetime | None:
    """A number of seconds, or a date; None for anything else."""
    value = headers.get("retry-after", "")
    with suppress(ValueError, OverflowError, TypeError):
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + max(0.0, float(value)), UTC)
    with suppress(ValueError, OverflowError, TypeError):
        return parsedate_to_datetime(value).astimezone(UTC)
    return None


def _broken(error: BaseException) -> Failure:
    name = type(error).__name__
    if name in ("ConnectError", "ConnectTimeout"):  # nothing was sent
        return Failure(Silence.UNREACHABLE, f"nobody answers there ({name})", free=True)
    if isinstance(error, TimeoutError) or "Timeout" in name:
        return Failure(Silence.LATE, "no answer in time", free=False)
    return Failure(Silence.UNREADABLE, f"the answer broke off ({name})", free=False)
