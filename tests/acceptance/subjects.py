"""One subject against one lab host over real SSH: look, plan, apply; without cycle, gate and store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from maintenancebot.catalog import SUBJECTS
from maintenancebot.model import Change, Finding, Host, HostFacts, Json, Outcome, Reason, State
from maintenancebot.plan.document import TaskPlan, change_to_json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote.client import HelperCall, Limits
from maintenancebot.remote.host_keys import KnownHosts
from maintenancebot.remote.session import Session
from maintenancebot.remote.ssh import Connector, SshLimits
from maintenancebot.settings import Settings, Task
from tests.lab.fleet import Fleet

STATES = {"ok": State.DONE, "unknown": State.UNKNOWN, "skipped": State.SKIPPED}
LIMITS = Limits(idle=60, deadline=300)


@dataclass(frozen=True)
class Controller:
    """Logs in to the hosts of a fleet as one of their users."""

    fleet: Fleet
    user: str = "ops"

    @contextmanager
    def session(self, name: str) -> Iterator[Session]:
        """An open connection to a host."""
        lab_host = self.fleet[name]
        host = Host(name, lab_host.address, lab_host.port, self.user, become=self.user == "ops")
        connector = Connector(
            KnownHosts(self.fleet.directory / "known_hosts"), SshLimits(10, 15, 60), keys=(self.fleet.key,), agent=False
        )
        session = connector.connect(host)
        try:
            yield session
        finally:
            session.close()
            connector.close()

    def plan(self, name: str, task: Task, *, later: timedelta = timedelta(), refresh: bool = False) -> TaskPlan:
        """What the task makes of a host now, judged as if it were `later`."""
        settings, subject = Settings(name="lab", tasks=(task,)), SUBJECTS[task.type]
        with self.session(name) as session:
            args = subject.probe.request(task, settings, session.host, refresh=refresh)
            tasks = [{"id": "t", "op": subject.probe.OP, "args": args}]
            facts, result = _look(session, tasks)
            result = subject.probe.complete(task, settings, result, session)
            facts = replace(facts, clock=facts.clock + later.total_seconds())
            return subject.planner.plan(session.host, task, settings, facts, result)

    def apply(self, name: str, task: Task, changes: Sequence[Change]) -> list[Outcome]:
        """Make the changes, all allowed."""
        actions = SUBJECTS[task.type].actions
        steps = {one.id: one for one in actions.steps(task, Settings(name="lab", tasks=(task,)), changes)}
        sent = [
            {
                "id": s.id,
                "task": s.task,
                "op": s.op,
                "args": dict(s.args),
                "changes": [change_to_json(c) for c in s.changes],
            }
            for s in steps.values()
        ]
        made: list[Outcome] = []
        with self.session(name) as session:
            call = HelperCall(session, {"mode": "apply", "run": "lab", "lock": "exclusive", "steps": sent}, LIMITS)
            for kind, payload in call.frames():
                if kind == "step":
                    call.answer("go", {"step": payload["step"]})
                elif kind == "outcome":
                    made += actions.outcomes(steps[payload["step"]], payload["outcomes"])
        return made


def _look(session: Session, tasks: Json) -> tuple[HostFacts, ProbeResult]:
    findings: list[Finding] = []
    call = HelperCall(session, {"mode": "probe", "lock": "shared", "tasks": tasks}, LIMITS)
    for kind, payload in call.frames():
        if kind == "facts":
            names = ("machine_id", "boot_id", "hostname", "os_id", "os_version", "kernel", "python", "uid", "clock")
            facts = HostFacts(**{name: payload[name] for name in names}, clock_offset=0.0)
        elif kind == "finding":
            findings += [Finding("t", item["kind"], item["subject"], item["data"]) for item in payload["items"]]
        elif kind == "task":
            ended = payload
    state, reason = STATES[ended["state"]], Reason(ended["reason"])
    return facts, ProbeResult(state, reason, ended["detail"], tuple(findings), ended["facts"])
