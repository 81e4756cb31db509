"""Renewals by certbot: one step for each lineage."""

from __future__ import annotations

from collections.abc import Sequence

from maintenancebot.actions.answers import outcomes as outcomes
from maintenancebot.model import Change, Json, Outcome, State, Step
from maintenancebot.settings import Settings, Task

OP = "certificates.renew"
MOST_KEPT = 20
"""Failed tries that are remembered; the last few decide."""


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """A step for each change, so that each asks for permission and is recorded by itself."""
    return [Step(id=f"renew-{change.id}", task=task.name, op=OP, changes=(change,)) for change in changes]


def learned(change: Change, outcome: Outcome, known: Json, at: float) -> Json:
    """The failed tries in a row with this certificate; None once it was renewed. What may have been a try counts."""
    measured = outcome.measured
    after = measured.get("serial_after")
    renewed = after is not None and after != measured.get("serial_before", after)
    if renewed or outcome.state in (State.DONE, State.NOTHING):
        return None
    if outcome.state is State.SKIPPED or measured.get("tried") is False:
        return known
    serial = change.object["serial"]
    tries = known["tries"] if known is not None and known["serial"] == serial else []
    return {"serial": serial, "tries": [*tries, at][-MOST_KEPT:]}
