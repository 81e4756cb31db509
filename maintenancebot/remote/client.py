"""The helper's client: one execution, request out, frames in, each limit kept, each way to fail told apart."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from maintenancebot.errors import RemoteError
from maintenancebot.model import Json, Reason
from maintenancebot.redaction import redacted
from maintenancebot.remote import bundle, frames
from maintenancebot.remote.hiding import without_secrets
from maintenancebot.remote.session import Execution, Session

PROTOCOL = 1
STDERR_CAP = 16 * 1024
STEP_SECONDS = 5.0


@dataclass(frozen=True)
class Limits:
    """How long one execution may take, in seconds."""

    idle: float  # without a frame
    deadline: float  # in all


class HelperCall:
    """One execution of the helper. `frames()` yields what it says; `answer()` talks back."""

    def __init__(self, session: Session, request: Mapping[str, Json], limits: Limits) -> None:
        self._session = session
        self._limits = limits
        self._marker = secrets.token_hex(16)
        self._parser = frames.Parser(self._marker)
        self._sequence = 0
        self._stderr = bytearray()
        self._heard = False
        self._request = {"protocol": PROTOCOL, "deadline": limits.deadline, **request}
        self._execution: Execution | None = None

    def frames(self) -> Iterator[tuple[str, dict[str, Json]]]:
        """Yield each frame before `end`.

        Raises RemoteError with the reason when the answer does not come to its end: hung, deadline, lost, garbled,
        unsupported, refused by sudo or by the helper itself.
        """
        end = time.monotonic() + self._limits.deadline + STEP_SECONDS  # the helper's own deadline speaks first
        execution = self._execution = self._session.start_helper()
        try:
            execution.send(bundle.preamble(self._marker) + self._encode("request", self._request))
            heard = time.monotonic()
            while not self._parser.ended:
                now = time.monotonic()
                if now > end:
                    raise RemoteError(Reason.DEADLINE, f"no end within {self._limits.deadline:.0f} s")
                if now - heard > self._limits.idle:
                    raise RemoteError(Reason.HUNG, f"connected, then silent for {self._limits.idle:.0f} s")
                received = execution.receive(min(STEP_SECONDS, self._limits.idle, max(0.1, end - now)))
                if received is None:
                    raise self._ended_early(execution)
                stdout, stderr = received
                self._stderr += stderr[: STDERR_CAP - len(self._stderr)]
                for kind, payload in self._parser.feed(stdout):
                    self._heard = True
                    yield from self._deliver(kind, payload)
                    heard = time.monotonic()  # afterwards: what the caller did meanwhile is not the host's silence
        finally:
            execution.close()

    def answer(self, kind: str, payload: Mapping[str, Json]) -> None:
        """Send a frame to the helper; raises RemoteError(LINK_LOST) when it is gone."""
        assert self._execution is not None
        self._execution.send(self._encode(kind, payload))

    def _encode(self, kind: str, payload: Mapping[str, Json]) -> bytes:
        data = frames.encode(self._marker, self._sequence, kind, payload)
        self._sequence += 1
        return data

    def _deliver(self, kind: str, payload: dict[str, Json]) -> Iterator[tuple[str, dict[str, Json]]]:
        if kind == "unsupported":
            lacks = ", ".join(str(item) for item in payload.get("lacks", ()))
            raise RemoteError(Reason.UNSUPPORTED, f"lacks {lacks} (python {payload.get('python')})")
        if kind == "refused":
            raise RemoteError(reason_of(payload.get("reason")), redacted(str(payload.get("detail", ""))))
        if kind == "fault":
            raise RemoteError(Reason.HELPER_ERROR, redacted(str(payload.get("error", ""))))
        if kind not in ("end", "alive"):
            yield kind, without_secrets(payload)

    def _ended_early(self, execution: Execution) -> RemoteError:
        status = execution.exit_status()
        words = self._stderr.decode("utf-8", "replace").strip()
        if self._heard:
            return RemoteError(Reason.LINK_LOST, "the answer broke off before its end" + _quoted(words))
        return diagnose(status, words)


_DIAGNOSES: tuple[tuple[str, Reason, str], ...] = (
    (
        r"sudo: .*password is required",
        Reason.BECOME_PASSWORD,
        "sudo asks for a password; allow NOPASSWD for this login",
    ),
    (r"sudo: .*(must have a tty|no tty present|terminal is required)", Reason.BECOME_TTY, "sudo wants a terminal"),
    (
        r"not in the sudoers|not allowed to (execute|run)|may not run sudo",
        Reason.BECOME_REFUSED,
        "sudo does not allow it",
    ),
    (r"sudo: .*(account|expired|PAM)", Reason.BECOME_REFUSED, "sudo refused the account"),
    (r"/usr/bin/sudo.*(No such file|not found)", Reason.BECOME_MISSING, "no /usr/bin/sudo on the host"),
    (r"doas: Auth", Reason.BECOME_PASSWORD, "doas asks for a password; write `permit nopass` for this login"),
    (r"doas: .*not permitted", Reason.BECOME_REFUSED, "doas does not allow it"),
    (r"/usr/bin/doas.*(No such file|not found)", Reason.BECOME_MISSING, "no /usr/bin/doas on the host"),
    (r"python3.*(No such file|not found|command not found)", Reason.UNSUPPORTED, "lacks /usr/bin/python3"),
    (
        r"(account|password) .*expired|account is currently not available",
        Reason.LOGIN_REFUSED,
        "the account is not usable",
    ),
    (r"SyntaxError|invalid syntax|Unknown option: -I", Reason.UNSUPPORTED, "python3 is older than 3.6"),
    (r"No space left on device", Reason.NO_SPACE, "the host's disk is full"),
)


def diagnose(status: int | None, words: str) -> RemoteError:
    """Why a helper never said a word: told from the exit code and standard error."""
    for pattern, reason, meaning in _DIAGNOSES:
        if re.search(pattern, words, re.IGNORECASE):
            return RemoteError(reason, meaning + _quoted(words))
    if status == 127:
        return RemoteError(Reason.UNSUPPORTED, "lacks /usr/bin/python3" + _quoted(words))
    if status is None or status < 0:
        return RemoteError(Reason.LINK_LOST, "the connection ended before the helper answered" + _quoted(words))
    return RemoteError(Reason.UNSUPPORTED, f"the login runs no commands of ours (exit code {status})" + _quoted(words))


def reason_of(word: Json) -> Reason:
    """A helper's word as a Reason; a word that is not in the list is a fault of ours."""
    try:
        return Reason(word)
    except ValueError:
        return Reason.HELPER_ERROR


def _quoted(words: str) -> str:
    last = redacted(words.splitlines()[-1])[:200] if words else ""
    return f": {last}" if last else ""
