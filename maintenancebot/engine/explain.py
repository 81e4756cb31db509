"""Why a path of a host would go or stay: asked on the host, by the rules of its cleanup tasks. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maintenancebot.catalog import EXPLAIN_PROBE, Explanation
from maintenancebot.engine import probing
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Reason, State
from maintenancebot.settings import CleanupTask


@dataclass(frozen=True)
class ExplainResult:
    """What the patterns of a host say of a path, or why that is not known."""

    host: str
    path: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    patterns: tuple[Explanation, ...] = ()

    @property
    def deciding(self) -> Explanation | None:
        """The pattern by which it goes, else one that it matches; None when no pattern is about it."""
        going = [one for one in self.patterns if one.goes]
        matched = [one for one in self.patterns if one.reason not in (Reason.NO_MATCH, Reason.NOT_ALLOWED)]
        return next(iter([*going, *matched]), None)


def explain(host: Host, path: str, tasks: Sequence[CleanupTask], work: Work) -> ExplainResult:
    """Ask a host about one path; that it cannot be asked is a value."""
    args = EXPLAIN_PROBE.request(path, tasks, work.settings, host)
    try:
        _, result = probing.ask_one(host, EXPLAIN_PROBE.OP, args, work)
    except RemoteError as error:
        return ExplainResult(host.name, path, State.UNKNOWN, error.reason, str(error))
    try:
        told = EXPLAIN_PROBE.explanations(result.findings)
    except (KeyError, TypeError, AttributeError) as error:
        return ExplainResult(host.name, path, State.UNKNOWN, Reason.GARBLED, f"the answer cannot be read: {error!r}")
    return ExplainResult(host.name, path, result.state, result.reason, result.detail, told)
