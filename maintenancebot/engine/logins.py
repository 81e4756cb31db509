"""After an upgrade, while the run's own connection still stands: does the host take a new login?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Host, Outcome, Reason, State, Step

TRIES = 4
PAUSE_SECONDS = 5.0
"""A restarting sshd, or one that limits new logins, is given a while before it is called broken."""


def checked(host: Host, step: Step, outcomes: Sequence[Outcome], work: Work) -> list[Outcome]:
    """The outcomes of an upgrade; the first is `unhealthy` when nobody can log in any more."""
    upgraded = {change.id for change in step.changes if change.action is Action.UPGRADE_PACKAGE}
    done = [one for one in outcomes if one.change_id in upgraded and one.state is State.DONE]
    trouble = _trouble(host, work) if done else ""
    if not trouble:
        return list(outcomes)
    detail = f"new logins fail since the upgrade: {trouble}; the run's own connection still stands"
    bad = replace(done[0], state=State.FAILED, reason=Reason.UNHEALTHY, detail=detail)
    return [bad if one is done[0] else one for one in outcomes]


def _trouble(host: Host, work: Work) -> str:
    """Why no login works, empty when one did."""
    told = ""
    for attempt in range(TRIES):
        if attempt and work.stop.wait(PAUSE_SECONDS):
            break
        try:
            work.connect(host).close()
        except RemoteError as error:
            told = f"{error.reason.value}: {error}"
        else:
            return ""
    return told
