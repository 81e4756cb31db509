"""Frees space on one file system: steps of cleanup and trash, which end by themselves when enough is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from maintenancebot.actions import logs, trash
from maintenancebot.actions.answers import outcomes as outcomes
from maintenancebot.model import Action, Change, Host, Json, Step
from maintenancebot.settings import Settings


def steps(changes: Sequence[Change], settings: Settings, mount: str, goal: int | None) -> list[Step]:
    """One step for each change, in their order; from `goal` available bytes on the host leaves the rest."""
    made = [_step(change, settings) for change in changes]
    if goal is None:
        return made
    enough = {"enough": {"path": mount, "available": goal}}
    return [replace(step, args={**step.args, **enough}) for step in made]


def _step(change: Change, settings: Settings) -> Step:
    if change.action is Action.RELOCATE_ITEM:
        return trash.relocate_step(change, settings)
    if change.action is Action.PURGE_ITEM:
        return trash.purge_step(change, settings, for_space=True)
    return logs.step(change, settings)


def reply(step: Step, question: Mapping[str, Json], host: Host, settings: Settings) -> Mapping[str, Json]:
    """What a step asks for an item in an object store."""
    return logs.reply(step, question, host, settings)


def give_up(host: Host) -> None:
    """Drop what a host has begun to send and did not end."""
    logs.give_up(host)
