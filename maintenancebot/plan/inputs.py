"""What planners are given: the outcome of one task's probe on one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maintenancebot.model import Finding, Json, Reason, State


@dataclass(frozen=True)
class ProbeResult:
    """One task's probe: what was found and how the probe itself ended."""

    state: State  # DONE: looked at everything; SKIPPED or UNKNOWN: could not, see the reason
    reason: Reason = Reason.NONE
    detail: str = ""
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)
