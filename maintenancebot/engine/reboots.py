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
BOOT_SECONDS = 360
"""How long the host itself waits for the end of its boot, and some more."""


def follow(
    host: Host, machine_id: str, steps: Sequence[Step], outcomes: dict[str, Outcome], work: Work, ledger: Ledger
) -> None:
    """Settle each reboot that a host has announced; `outcomes` is brought up to date."""
    for step, change in _reboots(steps):
        announced = outcomes.get(change.id)
        if announced is not None and announced.measured.get("scheduled"):
            settled = _settled(host, machine_id, change, announced, work, _deadline(step, work))
            outcomes[change.id] = settled
            if settled.reason is not Reason.UNFINISHED:
                ledger.settle(host.name, [settled])


def longest(steps: Sequence[Step], work: Work) -> float:
    """The most seconds that this may take after the steps; 0 without a reboot."""
    return max((LIMIT_SECONDS + _deadline(step, work) for step, _ in _reboots(steps)), default=0.0)


def _reboots(steps: Sequence[Step]) -> list[tuple[Step, Change]]:
    return [(step, change) for step in steps for change in step.changes if change.action is Action.REBOOT_HOST]


def _deadline(step: Step, work: Work) -> float:
    """For the one look at a host that is back: it waits for the end of the boot, then watches."""
    return float(max(work.settings.ssh.probe_deadline, BOOT_SECONDS + step.args["health"]["settle_seconds"]))


def _settled(host: Host, machine_id: str, change: Change, announced: Outcome, work: Work, deadline: float) -> Outcome:
    began = time.monotonic()
    last = ""
    work.progress.host(host.name, None, "waits for its reboot")
    while time.monotonic() - began < LIMIT_SECONDS:
        if work.stop.wait(POLL_SECONDS):
            return replace(announced, detail="the run was ended before the host was back; the next start looks")
        try:
            plan, result = probing.ask_one(host, OP, {"boot_id": change.object["boot_id"]}, work, deadline=deadline)
        except RemoteError as error:
            last = f"{error.reason.value}: {error}"
            continue
        if plan.machine_id != machine_id:
            last = f"another machine answers: {plan.machine_id or 'without a machine-id'}"
            continue
        if plan.boot_id and plan.boot_id != change.object["boot_id"]:
            return _verdict(change, result, round(time.monotonic() - began))
        last = "it answers, and has not rebooted"
    return Outcome(change.id, State.FAILED, Reason.NOT_BACK, f"after {LIMIT_SECONDS} s: {last}")


def _verdict(change: Change, result: ProbeResult, seconds: int) -> Outcome:
    measured = {"seconds": seconds, **{key: result.facts[key] for key in ("bad", "boot_id") if key in result.facts}}
    if result.state is not State.DONE:
        return Outcome(change.id, State.UNKNOWN, result.reason, f"rebooted; {result.detail}", measured)
    if not isinstance(result.facts.get("bad"), list):
        return Outcome(
            change.id, State.UNKNOWN, Reason.GARBLED, "rebooted; nothing is told of what ran before", measured
        )
    if result.facts["bad"]:
        return Outcome(change.id, State.FAILED, Reason.UNHEALTHY, f"rebooted; {result.detail}", measured)
    still = "; ".join(map(str, result.facts.get("signals") or ()))
    words = f"back after {seconds} s" + (f"; still needs a reboot: {still}" if still else "")
    return Outcome(change.id, State.DONE, Reason.VERIFIED, words, measured)
