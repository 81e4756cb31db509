"""How much the bot may do by itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from maintenancebot.model import Autonomy, Decision, Host, Reason, State
from maintenancebot.settings import Settings, Task

_CARE = (Autonomy.OBSERVE, Autonomy.REQUIRED, Autonomy.NOTIFY, Autonomy.AUTO)


def autonomy(host: Host, tasks: Iterable[Task], settings: Settings) -> Autonomy:
    """How much may be done by itself on a host: the most careful word of its groups and of the tasks."""
    words = [settings.guards.autonomy[group] for group in host.groups if group in settings.guards.autonomy]
    return min([*words, *(task.approval for task in tasks)], key=_CARE.index, default=Autonomy.AUTO)


def within(decision: Decision, autonomy: Autonomy, approved: frozenset[str]) -> Decision:
    """The gate's decision for work that nobody asked for by hand."""
    if not decision.allowed:
        return decision
    if autonomy is Autonomy.OBSERVE:
        return replace(decision, state=State.SKIPPED, reason=Reason.OBSERVE_ONLY, detail="autonomy is `observe`")
    if autonomy is Autonomy.REQUIRED and decision.change_id not in approved:
        return replace(decision, state=State.WAITING, reason=Reason.NEEDS_APPROVAL, detail="autonomy is `required`")
    return decision
