"""Asks a good host for what a baseline could declare of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from maintenancebot.model import Finding, Json
from maintenancebot.settings import ItemKind
from maintenancebot.settings.baseline_text import Captured

OP = "capture"


def request() -> Mapping[str, Json]:
    """Arguments for the helper's operation."""
    return {}


def captured(findings: Iterable[Finding]) -> tuple[Captured, ...]:
    """What was found, in the order in which the host told it; raises ValueError for what is not as agreed."""
    return tuple(_captured(finding) for finding in findings if finding.kind == "item")


def _captured(finding: Finding) -> Captured:
    kind, _, name = finding.subject.partition(":")
    return Captured(ItemKind(kind), name, dict(finding.data["wanted"]))
