"""The log: each message is one line in it, whoever else is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from maintenancebot.delivery.parcel import Attempt, Fate, Parcel
from maintenancebot.delivery.slack_words import SUMMARY
from maintenancebot.model import Json

CALM = frozenset({"healed", "notify", SUMMARY})
"""Kinds after which nobody has to do anything."""

RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "action"}
"""Names that a line has already."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Log:
    """The log of this process."""

    name: str = "log"

    def send(self, parcel: Parcel) -> Attempt:
        """Write the line; one that was written right before a process ended is written again."""
        level = logging.INFO if parcel.kind in CALM else logging.WARNING
        told = {f"{key}_" if key in RESERVED else key: value for key, value in _facts(parcel).items()}
        _log.log(level, "a person is told", extra={**told, "action": parcel.kind})
        return Attempt(Fate.SENT)


def _facts(parcel: Parcel) -> Mapping[str, Json]:
    """What is told; of a summary its headline, since the week is in the state and would be cut off here."""
    if parcel.kind != SUMMARY:
        return parcel.body
    facts = parcel.body.get("facts") or {}
    return {key: facts[key] for key in ("week", "state", "headline") if key in facts}
