"""Asks hosts only who they are: reachability, sudo, python, machine-id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from maintenancebot.engine import probing
from maintenancebot.engine.work import Work
from maintenancebot.model import Host, Json, Reason, State
from maintenancebot.remote.fanout import FanOut


@dataclass(frozen=True)
class PingResult:
    """What one host answered."""

    host: str
    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    facts: Mapping[str, Json] = field(default_factory=dict)


def ping(hosts: Sequence[Host], work: Work) -> list[PingResult]:
    """One result for each host, in order."""
    ssh = work.settings.ssh
    limit = ssh.connect_timeout + ssh.login_timeout + ssh.probe_deadline
    results: dict[str, PingResult] = {}
    work.progress.start(len(hosts), "ping")
    fan_out: FanOut[Host, probing.Looked] = FanOut(lambda host: probing.look(host, (), work), ssh.parallel, limit)
    for host, looked in fan_out.results(hosts):
        results[host.name] = _result(host, looked)
        work.progress.host(host.name, results[host.name].state, results[host.name].detail)
    work.progress.finish()
    return [results[host.name] for host in hosts]


def _result(host: Host, looked: probing.Looked | Exception) -> PingResult:
    if isinstance(looked, Exception):
        return PingResult(host.name, State.UNKNOWN, Reason.DEADLINE, str(looked))
    if looked.plan is None:
        return PingResult(host.name, State.UNKNOWN, looked.reason, looked.detail)
    plan = looked.plan
    facts = {**plan.facts, "machine_id": plan.machine_id, "boot_id": plan.boot_id}
    return PingResult(host.name, State.DONE, Reason.NONE, "", facts)
