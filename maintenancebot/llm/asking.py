"""A question and its answer: kept from before, or asked within the budget, checked, and once more if it is not true."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from maintenancebot.errors import StoreError
from maintenancebot.llm.client import Failure, Reply, Request
from maintenancebot.llm.fencing import fenced, harmless
from maintenancebot.llm.prompting import REPAIR, Prompt, prompt
from maintenancebot.model import Json
from maintenancebot.policy.spending import Call, Caps, Refusal, Silence, Use, use
from maintenancebot.redaction import redacted
from maintenancebot.settings import Llm

TRIES = 3
"""Calls for one question at the most, whatever goes wrong; each is reserved and paid for by itself."""

PATIENCE = timedelta(seconds=10)
"""How long an endpoint that is busy is waited for before it is asked again."""

_AGAIN = frozenset({Silence.RATE_LIMITED, Silence.ENDPOINT_FAILED, Silence.UNREACHABLE})
_SHOWN = 1500
_FAULTS = 8
_FAULT_LETTERS = 160
_REPAIR_ROOM = _SHOWN + _FAULTS * (_FAULT_LETTERS + 50) + 512

_log = logging.getLogger(__name__)


class Sender(Protocol):
    """Makes one call."""

    def send(self, request: Request, seconds: float) -> Reply | Failure: ...


class Ledger(Protocol):
    """The book of calls; each raises StoreError. `store.spending` is one."""

    def reserve(self, call: Call, caps: Caps, *, at: datetime) -> int | Refusal: ...
    def settle(
        self,
        number: int,
        input_tokens: int,
        output_tokens: int,
        cost: int,
        *,
        at: datetime,
        reason: Silence = ...,
        not_before: datetime | None = ...,
    ) -> None: ...
    def lose(self, number: int, reason: Silence, *, at: datetime, not_before: datetime | None = ...) -> None: ...
    def answer(self, digest: str) -> Json: ...
    def remember(self, digest: str, body: Json, *, at: datetime) -> None: ...


@dataclass(frozen=True)
class Question:
    """What is asked, of which facts, and in which form the answer is wanted."""

    purpose: str
    prompt: Prompt
    facts: Mapping[str, Json]
    schema: Mapping[str, Json]
    faults: Callable[[Mapping[str, Json]], Sequence[str]]  # of an answer; none: it may be used
    seconds: float | None = None  # for the whole of it; without, as configured


@dataclass(frozen=True)
class Answer:
    """What was answered, or why nothing was."""

    value: Mapping[str, Json]
    reason: Silence = Silence.NONE
    detail: str = ""


class Asker:
    """Asks one model, within its caps and its time."""

    def __init__(
        self,
        rules: Llm,
        sender: Sender,
        ledger: Ledger,
        known: Sequence[str],
        now: Callable[[], datetime],
        wait: Callable[[float], object],
    ) -> None:
        self._rules, self._sender, self._ledger = rules, sender, ledger
        self._known, self._now, self._wait = tuple(known), now, wait

    def ask(self, question: Question) -> Answer:
        """The answer of this model to these facts; that there is none is a value, and comes in time too."""
        try:
            found = self._ask(question)
        except StoreError as error:
            found = Answer({}, Silence.STATE_UNWRITABLE, str(error))
        found = replace(found, detail=harmless(found.detail, _SHOWN, self._known))
        told = {"purpose": question.purpose, "reason": found.reason.value, "detail": found.detail}
        _log.info("the model was asked", extra={"action": "model_asked", **told})
        return found

    def _ask(self, question: Question) -> Answer:
        request = self._request(question)
        if request is None:
            told = "the facts do not fit into the tokens of one call; raise llm.caps.tokens_per_call"
            return Answer({}, Silence.BUDGET_SPENT, told)
        digest = self._digest(question, request)
        known = self._ledger.answer(digest)
        if known is not None:
            return Answer(known["value"], Silence(known["reason"]), known["detail"])
        found = self._checked(question, request, digest)
        if found.reason in (Silence.NONE, Silence.NOT_TRUE):  # the same facts get the same words
            body = {"value": dict(found.value), "reason": found.reason.value, "detail": found.detail}
            self._ledger.remember(digest, body, at=self._now())
        return found

    def _request(self, question: Question) -> Request | None:
        empty = Request(question.prompt.text, ("",), question.schema)
        room = self._rules.caps.tokens_per_call - self._rules.max_tokens - empty.most_input - _REPAIR_ROOM
        facts = fenced(dict(question.facts), room, self._known)
        return replace(empty, turns=(facts,)) if facts else None

    def _digest(self, question: Question, request: Request) -> str:
        parts = (self._rules.model, question.prompt.name, request.system, request.turns, request.schema)
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _checked(self, question: Question, request: Request, digest: str) -> Answer:
        """The first answer if it may be used, else the second one."""
        until = self._now() + timedelta(seconds=question.seconds or 2 * self._rules.timeout_seconds)
        wrong: Sequence[str] = ()
        for _ in range(2):
            reply = self._call(question.purpose, request, digest, until)
            if isinstance(reply, Answer):
                # Nobody knows whether it would have been put right: it may be asked again.
                return replace(reply, detail="; ".join([*wrong, reply.detail]))
            value, wrong = self._value(reply, question)
            if not wrong:
                return Answer(value)
            request = replace(request, turns=(request.turns[0], _plain(reply.text, _SHOWN) or "-", _repair(wrong)))
        return Answer({}, Silence.NOT_TRUE, "; ".join(wrong))

    def _value(self, reply: Reply, question: Question) -> tuple[Mapping[str, Json], Sequence[str]]:
        """What the reply says, and what is wrong with it; objections quote it, so that no secret is left in it."""
        if reply.reason is not Silence.NONE:
            return {}, ["the answer was broken off, or declined"]
        try:
            value = json.loads(reply.text)
        except (ValueError, RecursionError):
            return {}, ["the answer is not the JSON that was asked for"]
        if not isinstance(value, dict):
            return {}, ["the answer is not the JSON object that was asked for"]
        clean = {name: redacted(one, self._known) if isinstance(one, str) else one for name, one in value.items()}
        return clean, question.faults(clean)

    def _call(self, purpose: str, request: Request, digest: str, until: datetime) -> Reply | Answer:
        """One call, and again after a fault that may pass; each try is reserved first."""
        for left in reversed(range(TRIES)):
            seconds = min(self._rules.timeout_seconds, (until - self._now()).total_seconds())
            if seconds < 1:
                return Answer({}, Silence.LATE, "no time is left for another call")
            reply = self._one_call(Call(purpose, self._rules.model, digest, self._most(request)), request, seconds)
            if isinstance(reply, Reply):
                return reply
            if isinstance(reply, Refusal):
                return Answer({}, reply.reason, reply.detail)
            pause = (reply.not_before - self._now()) if reply.not_before else timedelta(seconds=1)
            if not left or reply.reason not in _AGAIN or pause > min(PATIENCE, until - self._now()):
                return Answer({}, reply.reason, reply.detail)
            self._wait(max(0.0, pause.total_seconds()))
        raise AssertionError("the last try ends the loop")

    def _most(self, request: Request) -> Use:
        return use(self._rules.prices, request.most_input, self._rules.max_tokens)

    def _one_call(self, call: Call, request: Request, seconds: float) -> Reply | Failure | Refusal:
        number = self._ledger.reserve(call, self._rules.caps, at=self._now())
        if isinstance(number, Refusal):
            return number
        reply = self._sender.send(request, seconds)
        self._book(number, reply)
        return reply

    def _book(self, number: int, reply: Reply | Failure) -> None:
        if isinstance(reply, Reply):
            spent = use(self._rules.prices, reply.input_tokens, reply.output_tokens)
            tokens = (reply.input_tokens, reply.output_tokens, spent.cost)
            self._ledger.settle(number, *tokens, at=self._now(), reason=reply.reason)
        elif reply.free:
            self._ledger.settle(number, 0, 0, 0, at=self._now(), reason=reply.reason, not_before=reply.not_before)
        else:
            self._ledger.lose(number, reply.reason, at=self._now(), not_before=reply.not_before)


def _repair(wrong: Sequence[str]) -> str:
    return prompt(REPAIR).text.format(faults="\n".join(f"- {_plain(one, _FAULT_LETTERS)}" for one in wrong[:_FAULTS]))


def _plain(text: str, letters: int) -> str:
    """A letter a byte, so that its tokens can be foreseen."""
    return harmless(text, letters).encode("ascii", "replace").decode("ascii")
