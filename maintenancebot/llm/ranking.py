"""The model's order of the ways to free space: it gets those that are allowed, and gives the same ones back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from maintenancebot.llm import checking
from maintenancebot.llm.asking import Asker, Question
from maintenancebot.llm.fencing import harmless
from maintenancebot.llm.prompting import RANKING, prompt
from maintenancebot.model import Json, State
from maintenancebot.plan import filesystem
from maintenancebot.plan.filesystem import Disk
from maintenancebot.settings import Way

SECONDS = 15.0
"""A full disk does not wait for long for a better order."""

BECAUSE_LETTERS = 300

_log = logging.getLogger(__name__)


class ModelRanking:
    """Orders the ways as the model would; without an answer they stay as configured."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def order(self, ways: Sequence[Way], disk: Disk) -> Sequence[Way]:
        """The same ways, the best for this disk first; what is removed for good never comes earlier than configured."""
        if len(ways) < 2:
            return ways
        facts: dict[str, Json] = {"ways": [way.value for way in ways], "disk": filesystem.told(disk)}
        answer = self._asker.ask(Question("ranking", prompt(RANKING), facts, _schema(ways), _nothing, SECONDS))
        order = _allowed(answer.value.get("order"), ways)
        because = _because(answer.value.get("because"), facts)
        told = {"ways": [way.value for way in order], "reason": answer.reason.value, "because": because}
        _log.info("the ways to free space are ordered", extra={"action": "ways_ordered", "subject": disk.mount, **told})
        return order


def _schema(ways: Sequence[Way]) -> dict[str, Json]:
    way = {"type": "string", "enum": [one.value for one in ways]}
    order = {"type": "array", "items": way}
    return {
        "type": "object",
        "properties": {"order": order, "because": {"type": "string"}},
        "required": ["order", "because"],
        "additionalProperties": False,
    }


def _nothing(value: Mapping[str, Json]) -> Sequence[str]:
    """Whatever it is, no more than an order is taken from it; it is not asked for twice."""
    return ()


def _allowed(wanted: Json, ways: Sequence[Way]) -> list[Way]:
    """The ways as they are wanted; what is none of them is dropped, what was left out follows as configured."""
    named = [one for one in wanted if isinstance(one, str)] if isinstance(wanted, list) else []
    chosen = [way for name in dict.fromkeys(named) for way in ways if way.value == name]
    order = [*chosen, *(way for way in ways if way not in chosen)]
    if Way.PURGE not in ways:
        return order
    # All that can be undone, and was to be tried before a purge, is tried before it.
    earlier = set(ways[: list(ways).index(Way.PURGE)])
    at = max((order.index(way) + 1 for way in earlier if order.index(way) > order.index(Way.PURGE)), default=None)
    if at is not None:
        order.insert(at, Way.PURGE)
        order.remove(Way.PURGE)
    return order


def _because(text: Json, facts: Mapping[str, Json]) -> str:
    """The reason that the model gives, where it says no more than the facts do."""
    known = checking.facts_of(facts, State.DONE)
    if not isinstance(text, str) or checking.faults(text, known, BECAUSE_LETTERS):
        return ""
    return harmless(text, BECAUSE_LETTERS)
