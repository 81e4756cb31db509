"""A reboot's second half: wait for a new boot id, then ask the host whether all is back that was there before."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from maintenancebot.engine import probing
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Action, Change, Host, Outcome, Reason, State, Step
from maintenancebot.plan.inputs import ProbeResult

OP = "reboot_check"
LIMIT_SECONDS = 900
POLL_SECONDS = 5.0


def follow(host: Host, steps: Sequence[Step], outcomes: dict[str, Outcome], work: Work, ledger: Ledger) -> None:
    """Settle each reboot that a host has announced; `outcomes` is brought up to date."""
    for change in (change for step in steps for change in step.changes if change.action is Action.REBOOT_HOST):
        announced = outcomes.get(change.id)
        if announced is not None and announced.measured.get("scheduled"):
            settled = _settled(host, change, announced, work)
            outcomes[change.id] = settled
            if settled.reason is not Reason.UNFINISHED:
                ledger.settle(host.name, [settled])


def _settled(host: Host, change: Change, announced: Outcome, work: Work) -> Outcome:
    began = time.monotonic()
    last = ""
    work.progress.host(host.name, None, "waits for its reboot")
    while time.monotonic() - began < LIMIT_SECONDS:
        if work.stop.wait(POLL_SECONDS):
            return replace(announced, detail="the run was ended before the host was back; the next start looks")
        try:
            plan, result = probing.ask_one(host, OP, {"boot_id": change.object["boot_id"]}, work)
        except RemoteError as error:
            last = f"{error.reason.value}: {error}"
            continue
        if plan.boot_id and plan.boot_id != change.object["boot_id"]:
            return _verdict(change, result, round(time.monotonic() - began))
        last = "it answers, and has not rebooted"
    return Outcome(change.id, State.FAILED, Reason.NOT_BACK, f"after {LIMIT_SECONDS} s: {last}")


def _verdict(change: Change, result: ProbeResult, seconds: int) -> Outcome:
    measured = {"seconds": seconds, **{key: result.facts[key] for key in ("bad", "boot_id") if key in result.facts}}
    if result.state is not State.DONE:
        return Outcome(change.id, State.UNKNOWN, result.reason, f"rebooted; {result.detail}", measured)
    if result.facts.get("bad"):
        return Outcome(change.id, State.FAILED, Reason.UNHEALTHY, f"rebooted; {result.detail}", measured)
    return Outcome(change.id, State.DONE, Reason.VERIFIED, f"back after {seconds} s", measured)
