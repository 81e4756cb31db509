"""Why an object of a container daemon stays; shared by the rules for images, volumes and containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from maintenancebot.model import Change, Reason

HOUR = 3600


@dataclass(frozen=True)
class Stay:
    """Why an object stays."""

    reason: Reason
    detail: str = ""


Part = tuple[list[Change], list[tuple[str, Stay]]]
"""What goes of one kind of objects, and why the others stay."""


def kept_by_label(labels: Mapping[str, str], keep: Sequence[str]) -> Stay | None:
    """The objection of a label, given as a key or as key=value."""
    for wanted in keep:
        key, equals, value = wanted.partition("=")
        if key in labels and (not equals or labels[key] == value):
            return Stay(Reason.KEPT, f"label {wanted}")
    return None
