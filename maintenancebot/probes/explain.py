"""Explains one path: the same patterns and rules as the probe of the cleanup tasks, told one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.model import Finding, Host, Json
from maintenancebot.probes import logs
from maintenancebot.settings import CleanupTask, Settings

OP = "explain"


@dataclass(frozen=True)
class Rule:
    """What one rule says of the path."""

    rule: str
    passes: bool | None  # None: not reached, or it cannot be told
    reason: str
    detail: str


@dataclass(frozen=True)
class Explanation:
    """What one pattern of a task says of the path."""

    task: str
    pattern: str
    goes: bool
    action: str  # what would be done: quarantine_file or compress_file
    reason: str  # why it stays
    rules: tuple[Rule, ...]


def request(path: str, tasks: Sequence[CleanupTask], settings: Settings, host: Host) -> Mapping[str, Json]:
    """Arguments for the helper's operation: the path and the patterns of all tasks, as their probes get them."""
    patterns = []
    for task in tasks:
        asked = logs.request(task, settings, host, refresh=False) or {}
        patterns += [{**pattern, "task": task.name} for pattern in asked["patterns"]]
    deletion = settings.deletion
    return {
        "path": path,
        "patterns": patterns,
        "allow": list(deletion.allow),
        "protect": list(deletion.protect),
    }


def explanations(findings: Iterable[Finding]) -> tuple[Explanation, ...]:
    """One for each pattern, in the order of the configuration."""
    return tuple(_explanation(finding) for finding in findings if finding.kind == "explanation")


def _explanation(finding: Finding) -> Explanation:
    verdict = finding.data["verdict"]
    return Explanation(
        task=str(finding.data["task"]),
        pattern=finding.subject,
        goes=verdict["goes"] is True,
        action=str(verdict["action"]),
        reason=str(verdict["reason"]),
        rules=tuple(_rule(row) for row in finding.data["rows"]),
    )


def _rule(row: Mapping[str, Json]) -> Rule:
    passes = row["passes"] if row["passes"] in (True, False) else None
    return Rule(str(row["rule"]), passes, str(row["reason"]), str(row["detail"]))
