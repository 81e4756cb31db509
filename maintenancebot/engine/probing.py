"""Phase one of a host's work: look at everything in one execution, then plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from maintenancebot.catalog import SUBJECTS, Probe
from maintenancebot.engine import memory
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Change, Finding, Host, HostFacts, Json, Mount, Outcome, Reason, State
from maintenancebot.plan.document import HostPlan, TaskPlan, change_to_json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.plan.once import once
from maintenancebot.remote.client import HelperCall, Limits, reason_of
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task

LOCK_WAIT_SECONDS = 30
FINDINGS_CAP = 200_000  # of one host; a task's own limits are far below
RECALL = "recall"
LARGEST = 2**96  # some file systems without a limit tell all that 64 bits hold, in blocks

_STATES = {"ok": State.DONE, "unknown": State.UNKNOWN, "skipped": State.SKIPPED}


@dataclass(frozen=True)
class Looked:
    """What came of looking at a host: a plan, or the reason why there is none."""

    host: Host
    plan: HostPlan | None = None
    reason: Reason = Reason.NONE
    detail: str = ""
    recalled: tuple[Outcome, ...] = ()
    machine_id: str = ""  # of the machine that answered


@dataclass
class _Answer:
    """The frames of a probe as they come in."""

    facts: HostFacts | None = None
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    ended: dict[str, ProbeResult] = field(default_factory=dict)


def look(
    host: Host,
    tasks: Sequence[Task],
    work: Work,
    *,
    refresh: bool = False,
    machine_id: str = "",
    unfinished: Sequence[Change] = (),
) -> Looked:
    """Probe a host for its tasks and plan; a failure of the host is a value, never an exception.

    `refresh` renews the package lists first, on the machine with `machine_id` only. `unfinished` are changes whose
    outcome was never recorded: what became of them is looked up in the same execution.
    """
    try:
        session = work.connect(host)
    except RemoteError as error:
        return Looked(host, reason=error.reason, detail=str(error))
    try:
        probed_at = work.now()
        expected = machine_id if refresh else ""  # renewing lists is a change: never on another machine
        request = probe_request(
            host, tasks, work.settings, probed_at, refresh=refresh, machine_id=expected, unfinished=unfinished
        )
        answer = _ask(session, request, work)
        assert answer.facts is not None
        plan = _plan(host, tasks, work, answer, session, probed_at)
        return Looked(host, plan=plan, recalled=_recalled(unfinished, answer), machine_id=plan.machine_id)
    except RemoteError as error:
        return Looked(host, reason=error.reason, detail=str(error))
    finally:
        session.close()


def ask_one(
    host: Host, op: str, args: Mapping[str, Json], work: Work, *, deadline: float = 0
) -> tuple[HostPlan, ProbeResult]:
    """Ask a host one operation outside of any task; its identity as a plan without tasks. Raises RemoteError.

    `deadline` in seconds stands for that of the settings.
    """
    plan, _, results = ask(host, {op: args}, work, deadline=deadline)
    return plan, results[op]


def ask(
    host: Host, asked: Mapping[str, Mapping[str, Json]], work: Work, *, deadline: float = 0
) -> tuple[HostPlan, HostFacts, dict[str, ProbeResult]]:
    """Ask a host several operations, each by its name, in one execution. Raises RemoteError."""
    session = work.connect(host)
    try:
        probed_at = work.now()
        request = probe_request(host, (), work.settings, probed_at)
        request["tasks"] = [{"id": op, "op": op, "args": dict(args)} for op, args in asked.items()]
        answer = _ask(session, request, work, deadline)
        assert answer.facts is not None
        return _plan(host, (), work, answer, session, probed_at), answer.facts, answer.ended
    finally:
        session.close()


def probe_request(
    host: Host,
    tasks: Sequence[Task],
    settings: Settings,
    now: datetime,
    *,
    refresh: bool = False,
    machine_id: str = "",
    unfinished: Sequence[Change] = (),
) -> dict[str, Json]:
    """The one request that asks a host everything for all tasks."""
    asked: list[dict[str, Json]] = []
    if unfinished:
        changes = [change_to_json(change) for change in unfinished]
        asked.append({"id": RECALL, "op": RECALL, "args": {"changes": changes}})
    for task in tasks:
        probe = SUBJECTS[task.type].probe
        args = probe.request(task, settings, host, refresh=refresh)
        if args is not None:
            asked.append({"id": _key(task), "op": probe.OP, "args": dict(args)})
    return {
        "mode": "probe",
        "now": now.timestamp(),
        "lock": "shared",
        "lock_wait": LOCK_WAIT_SECONDS,
        "machine_id": machine_id,
        "tasks": asked,
    }


def _ask(session: Session, request: Mapping[str, Json], work: Work, deadline: float = 0) -> _Answer:
    ssh = work.settings.ssh
    answer = _Answer()
    limits = Limits(ssh.idle_timeout, deadline or ssh.probe_deadline)
    for kind, payload in HelperCall(session, request, limits).frames():
        _take(answer, kind, payload, work.now())
    if answer.facts is None or any(item["id"] not in answer.ended for item in request["tasks"]):
        raise RemoteError(Reason.GARBLED, "the answer is incomplete")
    return answer


def _take(answer: _Answer, kind: str, payload: Mapping[str, Json], now: datetime) -> None:
    try:
        if kind == "facts":
            answer.facts = _facts(payload, now)
        elif kind == "finding":
            task = str(payload["task"])
            found = answer.findings.setdefault(task, [])
            if sum(map(len, answer.findings.values())) > FINDINGS_CAP:
                raise RemoteError(Reason.GARBLED, f"the host sent more than {FINDINGS_CAP} findings")
            found += [Finding(task, str(i["kind"]), str(i["subject"]), dict(i["data"])) for i in payload["items"]]
        elif kind == "task":
            task = str(payload["task"])
            answer.ended[task] = ProbeResult(
                state=_STATES[payload["state"]],
                reason=reason_of(payload["reason"]),
                detail=str(payload["detail"]),
                findings=tuple(answer.findings.pop(task, ())),
                facts=dict(payload["facts"]),
            )
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise RemoteError(Reason.GARBLED, f"a {kind} frame is not as agreed: {error!r}") from error


def _facts(payload: Mapping[str, Json], now: datetime) -> HostFacts:
    fields = {name: payload[name] for name in ("machine_id", "boot_id", "hostname", "os_id", "os_version", "kernel")}
    return HostFacts(
        **{name: str(value) for name, value in fields.items()},
        python=str(payload["python"]),
        uid=int(payload["uid"]),
        clock=float(payload["clock"]),
        clock_offset=round(float(payload["clock"]) - now.timestamp(), 1),
        mounts=tuple(_mount(mount) for mount in payload["mounts"]),
        missing=tuple(str(name) for name in payload["missing"]),
    )


def _mount(row: Mapping[str, Json]) -> Mount:
    """A mount as the host tells it; raises TypeError or ValueError for what nothing can be reckoned with."""
    mount = Mount(**row)
    figures = (mount.total, mount.available, mount.inodes, mount.inodes_free)
    if not all(isinstance(text, str) for text in (mount.path, mount.device, mount.fs_type)):
        raise TypeError("path, device and type of a mount are texts")
    if not all(isinstance(one, int) for one in figures):
        raise TypeError("the figures of a mount are whole numbers")
    if not all(0 <= one < LARGEST for one in figures):
        raise ValueError("no file system is so large")
    return mount


def _plan(
    host: Host, tasks: Sequence[Task], work: Work, answer: _Answer, session: Session, probed_at: datetime
) -> HostPlan:
    facts = answer.facts
    assert facts is not None
    return HostPlan(
        host=host.name,
        machine_id=facts.machine_id,
        boot_id=facts.boot_id,
        probed_at=probed_at,
        clock_offset=facts.clock_offset,
        tasks=once([_plan_task(host, task, work, facts, answer, session) for task in tasks]),
        facts=_host_facts(facts),
    )


def _plan_task(host: Host, task: Task, work: Work, facts: HostFacts, answer: _Answer, session: Session) -> TaskPlan:
    subject = SUBJECTS[task.type]
    result = answer.ended.get(_key(task), ProbeResult(State.SKIPPED, Reason.NOT_CONFIGURED))
    try:
        result = _completed(subject.probe, task, work, result, session)
        result = memory.recalled(host, task, result, work)
        return subject.planner.plan(host, task, work.settings, facts, result)
    except Exception as error:  # what the host said cannot be planned with: that is this task's trouble alone
        told = f"{type(error).__name__}: {error}"
        return TaskPlan(task.name, task.type, State.UNKNOWN, Reason.GARBLED, f"the answer cannot be read ({told})")


def _completed(probe: Probe, task: Task, work: Work, result: ProbeResult, session: Session) -> ProbeResult:
    """The result with what the controller asks besides; that it cannot ask is a result too."""
    try:
        return probe.complete(task, work.settings, result, session)
    except RemoteError as error:
        return replace(result, state=State.UNKNOWN, reason=error.reason, detail=str(error))


def _recalled(unfinished: Sequence[Change], answer: _Answer) -> tuple[Outcome, ...]:
    if not unfinished:
        return ()
    found = {finding.subject: finding.data for finding in answer.ended[RECALL].findings}
    outcomes = []
    for change in unfinished:
        data = found.get(change.id)
        if data is None:
            outcomes.append(Outcome(change.id, State.UNKNOWN, Reason.UNFINISHED, "the host cannot tell"))
            continue
        state = State(data["state"]) if data.get("state") in tuple(State) else State.UNKNOWN
        measured = data.get("measured")
        reason, detail = reason_of(data.get("reason", "")), str(data.get("detail", ""))
        outcomes.append(Outcome(change.id, state, reason, detail, measured if isinstance(measured, dict) else {}))
    return tuple(outcomes)


def _host_facts(facts: HostFacts) -> dict[str, Json]:
    return {
        "hostname": facts.hostname,
        "os": f"{facts.os_id} {facts.os_version}".strip(),
        "kernel": facts.kernel,
        "python": facts.python,
        "root": facts.is_root,
        "clock_offset": facts.clock_offset,
        "mounts": [
            {
                "path": m.path,
                "fs_type": m.fs_type,
                "total": m.total,
                "available": m.available,
                "inodes": m.inodes,
                "inodes_free": m.inodes_free,
            }
            for m in facts.mounts
        ],
    }


def _key(task: Task) -> str:
    return f"task:{task.name}"
