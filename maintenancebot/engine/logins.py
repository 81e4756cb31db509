"""While the run's own connection still stands: does the host take a new login, in full, up to a helper that runs?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Host, Json, Outcome, Reason, State, Step
from maintenancebot.remote.client import HelperCall, Limits

UPGRADE_PAUSES = (5.0, 5.0, 5.0)
"""A restarting sshd, or one that limits new logins, is given a while before it is called broken."""
CORRECTION_PAUSES = (1.0, 2.0)
"""Until it is taken back nobody else may get in either; one taken back for nothing costs no more than a second try."""
LONGEST_SECONDS = 60.0
QUESTION = "login"


def checked(host: Host, machine_id: str, step: Step, outcomes: Sequence[Outcome], work: Work) -> list[Outcome]:
    """The outcomes of an upgrade; the first is `unhealthy` when nobody can log in any more."""
    upgraded = {change.id for change in step.changes if change.action is Action.UPGRADE_PACKAGE}
    done = [one for one in outcomes if one.change_id in upgraded and one.state is State.DONE]
    trouble = _trouble(host, machine_id, work, UPGRADE_PAUSES) if done else ""
    if not trouble:
        return list(outcomes)
    detail = f"new logins fail since the upgrade: {trouble}; the run's own connection still stands"
    bad = replace(done[0], state=State.FAILED, reason=Reason.UNHEALTHY, detail=detail)
    return [bad if one is done[0] else one for one in outcomes]


def answer(host: Host, machine_id: str, work: Work) -> Mapping[str, Json]:
    """What a step is told that asks whether the host still lets us in; without a way to try, it does not."""
    if host.connection != "ssh":
        return {"ok": False, "detail": f"{host.name} is reached without a login, so that none can be tried"}
    trouble = _trouble(host, machine_id, work, CORRECTION_PAUSES)
    return {"ok": not trouble, "detail": trouble}


def _trouble(host: Host, machine_id: str, work: Work, pauses: Sequence[float]) -> str:
    """Why no login works, empty when one did; tried once, and once more after each pause."""
    told = ""
    for pause in (0.0, *pauses):
        if pause and work.stop.wait(pause):
            break
        try:
            _enter(host, machine_id, work)
        except RemoteError as error:
            told = f"{error.reason.value}: {error}"
        else:
            return ""
    return told


def _enter(host: Host, machine_id: str, work: Work) -> None:
    """Log in over a new connection, become root as ever, run the helper to its end. Raises RemoteError."""
    limits = Limits(work.settings.ssh.idle_timeout, LONGEST_SECONDS)
    request: dict[str, Json] = {"mode": "probe", "lock": "none", "machine_id": machine_id, "tasks": []}
    session = work.connect(host)
    try:
        for kind, payload in HelperCall(session, request, limits).frames():
            if kind == "facts" and payload.get("uid") != 0:
                raise RemoteError(Reason.BECOME_REFUSED, "the login does not become root")
    finally:
        session.close()
