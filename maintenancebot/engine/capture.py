"""A good host's state in the words of a baseline. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from maintenancebot.catalog import CAPTURE_PROBE
from maintenancebot.engine import probing
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason, State
from maintenancebot.settings.baseline_text import Captured


@dataclass(frozen=True)
class CaptureResult:
    """What a host told of itself, or why it did not."""

    host: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    captured: tuple[Captured, ...] = ()


def capture(host: Host, work: Work) -> CaptureResult:
    """Ask a host; that it cannot be asked is a value."""
    try:
        _, result = probing.ask_one(host, CAPTURE_PROBE.OP, CAPTURE_PROBE.request(), work)
    except RemoteError as error:
        return CaptureResult(host.name, State.UNKNOWN, error.reason, str(error))
    try:
        found = CAPTURE_PROBE.captured(result.findings)
    except (KeyError, TypeError, ValueError) as error:
        return CaptureResult(host.name, State.UNKNOWN, Reason.GARBLED, f"the answer cannot be read: {error!r}")
    return CaptureResult(host.name, result.state, result.reason, result.detail, found)
