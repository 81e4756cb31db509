"""Phase two of a host's work: make the allowed changes in one execution, each step asked for, measured and recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from maintenancebot.catalog import SUBJECTS, Actions, Answers, Replies
from maintenancebot.engine import logins
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import GUARD_REASONS, Action, Change, Host, Json, Outcome, Reason, State, Step
from maintenancebot.plan.document import HostPlan, change_to_json
from maintenancebot.remote.client import HelperCall, Limits
from maintenancebot.remote.session import Session
from maintenancebot.settings import Task

LOCK_WAIT_SECONDS = 120

COMPLETING = frozenset({"roll_back", logins.QUESTION})
"""Questions whose yes ends the change in hand well: a closing window or Ctrl-C must not leave a service broken, only
the kill switch and an audit log that cannot be written say no."""


def steps_of(plan: HostPlan, allowed: frozenset[str], tasks: Sequence[Task], work: Work) -> list[Step]:
    """The steps for the allowed changes of a host's plan, in their order; a reboot comes after all else."""
    by_name = {task.name: task for task in tasks}
    steps: list[Step] = []
    for task_plan in plan.tasks:
        changes = [change for change in task_plan.changes if change.id in allowed]
        if changes:
            task = by_name[task_plan.task]
            steps += SUBJECTS[task.type].actions.steps(task, work.settings, changes)
    return sorted(steps, key=_is_reboot)


def actors(tasks: Sequence[Task]) -> dict[str, Actions]:
    """Who makes the steps of each task."""
    return {task.name: SUBJECTS[task.type].actions for task in tasks}


def apply(
    host: Host,
    machine_id: str,
    steps: Sequence[Step],
    acting: Mapping[str, Answers],
    work: Work,
    ledger: Ledger,
    brakes: Brakes,
    outcomes: dict[str, Outcome] | None = None,
) -> dict[str, Outcome]:
    """Make the steps on a host; returns an outcome for each change, by id. Never raises for what the host does.

    `outcomes`, when given, is filled as they come, so that a caller who stops waiting has what was recorded.
    """
    made = {} if outcomes is None else outcomes
    granted, no = ledger.intend(host.name, machine_id, steps)
    applying = _Applying(host, machine_id, granted, acting, work, ledger, brakes, made)
    applying.refuse(steps[len(granted) :], no)
    if not granted:
        return made
    try:
        session = work.connect(host)
    except RemoteError as error:
        applying.leave(error.reason, str(error))
        return made
    try:
        applying.make(session)
    except RemoteError as error:
        applying.broke_off(error.reason, str(error))
    except Exception as error:  # ours or a host's lie: the books are closed all the same
        applying.broke_off(Reason.INTERNAL_ERROR, f"{type(error).__name__}: {error}")
    finally:
        session.close()
        applying.end()
    return made


@dataclass
class _Applying:
    host: Host
    machine_id: str
    steps: list[Step]
    acting: Mapping[str, Answers]
    work: Work
    ledger: Ledger
    brakes: Brakes
    outcomes: dict[str, Outcome]
    in_hand: Step | None = None
    names: dict[str, str] = field(init=False)  # of the changes, for people

    def __post_init__(self) -> None:
        self.names = {change.id: change.name for change in _changes(self.steps)}

    def make(self, session: Session) -> None:
        """One execution: answer each of the helper's questions."""
        pending = deque(self.steps)
        call = HelperCall(session, self._request(), self._limits())
        for kind, payload in call.frames():
            if kind == "facts":
                self._check_clock(payload)
            elif kind == "step":
                if pending and pending[0].id == payload.get("step"):
                    if not self._permit(pending.popleft()):
                        return
                    call.answer("go", {"step": payload["step"]})
                else:
                    raise RemoteError(Reason.GARBLED, "the helper asks for a step that is not next")
            elif kind == "ask":
                call.answer("answer", {"step": payload.get("step"), "answer": self._reply(payload)})
            elif kind == "outcome":
                self._take(payload)
        if pending or self.in_hand is not None:
            raise RemoteError(Reason.GARBLED, "the helper ended before its work did")

    def refuse(self, steps: Sequence[Step], reason: Reason) -> None:
        """Tell of steps for which there is no intent, so that there is nothing to settle."""
        self.names |= {change.id: change.name for change in _changes(steps)}
        refused = [Outcome(change.id, State.SKIPPED, reason, begun=False) for change in _changes(steps)]
        self._keep(refused, settle=False)

    def leave(self, reason: Reason, detail: str) -> None:
        """Account for all that was not begun."""
        self._leave_as(State.SKIPPED if reason in _OURS else State.FAILED, reason, detail)

    def _leave_as(self, state: State, reason: Reason, detail: str) -> None:
        changes = [change for change in _changes(self.steps) if change.id not in self.outcomes]
        self._keep([Outcome(change.id, state, reason, detail, begun=False) for change in changes], settle=True)

    def broke_off(self, reason: Reason, detail: str) -> None:
        """The answer ended early: what was in hand is unknown and stays open, the rest was not begun."""
        if self.in_hand is not None:
            told = f"{detail}; looked up at the next start"
            self._keep([Outcome(c.id, State.UNKNOWN, reason, told) for c in self.in_hand.changes], settle=False)
            self.in_hand = None
        self.leave(reason, detail)

    def end(self) -> None:
        """Nobody asks any more."""
        for actor in {step.task: self.acting[step.task] for step in self.steps}.values():
            if isinstance(actor, Replies):
                actor.give_up(self.host)

    def _check_clock(self, payload: Mapping[str, Json]) -> None:
        offset = float(payload["clock"]) - self.work.now().timestamp()
        limit = self.work.settings.guards.max_clock_skew_seconds
        goes_by_age = any(change.action not in _GIVES_BACK for change in _changes(self.steps))
        if goes_by_age and not abs(offset) <= limit:
            raise RemoteError(Reason.CLOCK_SKEW, f"the host's clock is {offset:+.0f} s off by now")

    def _request(self) -> dict[str, Json]:
        return {
            "mode": "apply",
            "now": self.work.now().timestamp(),
            "run": self.work.run_id,
            "lock": "exclusive",
            "lock_wait": LOCK_WAIT_SECONDS,
            "machine_id": self.machine_id,
            "steps": [_step_to_json(step) for step in self.steps],
        }

    def _limits(self) -> Limits:
        ssh = self.work.settings.ssh
        return Limits(ssh.idle_timeout, ssh.apply_deadline)

    def _permit(self, step: Step) -> bool:
        """Ask for one step; a no leaves it and all that follow, and the helper ends with its input."""
        failed = self._failed_upgrade() if _is_reboot(step) else ""
        if failed:
            self._leave_as(State.SKIPPED, Reason.UNHEALTHY, f"no reboot after an upgrade that failed: {failed}")
            return False
        objection = self.brakes.objection(self.host)
        if objection is not Reason.NONE:
            self.leave(objection, "")
            return False
        self.in_hand = step
        self.work.progress.host(self.host.name, None, step.changes[0].name)
        return True

    def _failed_upgrade(self) -> str:
        """What this run has made of the host's packages and must not be rebooted into, empty when all is well."""
        ids = [change.id for change in _changes(self.steps) if change.action in _PACKAGES]
        made = [self.outcomes[one] for one in ids if one in self.outcomes]
        bad = [one for one in made if one.state in (State.FAILED, State.UNKNOWN)]
        return bad[0].detail or bad[0].reason.value if bad else ""

    def _reply(self, payload: Mapping[str, Json]) -> Mapping[str, Json]:
        """The answer to what the step in hand asks, while nothing says stop."""
        step = self.in_hand
        question = payload.get("question")
        if step is None or payload.get("step") != step.id or not isinstance(question, dict):
            raise RemoteError(Reason.GARBLED, "a question for a step that is not in hand")
        completes = question.get("ask") in COMPLETING
        objection = self.ledger.objection(self.host.name) if completes else self.brakes.objection(self.host)
        if objection is not Reason.NONE:
            return {"refused": objection.value, "detail": ""}
        if question.get("ask") == logins.QUESTION:
            return logins.answer(self.host, self.machine_id, self.work)
        actor = self.acting[step.task]
        if not isinstance(actor, Replies):
            raise RemoteError(Reason.GARBLED, f"{step.op} asks what nobody can answer")
        return actor.reply(step, question, self.host, self.work.settings)

    def _take(self, payload: Mapping[str, Json]) -> None:
        step = self.in_hand
        if step is None or payload.get("step") != step.id:
            raise RemoteError(Reason.GARBLED, "an outcome for a step that was not in hand")
        raw = payload.get("outcomes")
        made = self.acting[step.task].outcomes(step, raw if isinstance(raw, list) else [])
        self._keep(logins.checked(self.host, self.machine_id, step, made, self.work), settle=True)
        self.in_hand = None

    def _keep(self, outcomes: Sequence[Outcome], *, settle: bool) -> None:
        for outcome in outcomes:
            self.outcomes[outcome.change_id] = outcome
            self.work.progress.step(self.host.name, self.names.get(outcome.change_id, ""), outcome.state)
        if settle:  # what the host says is still going on stays open for the next start
            self.ledger.settle(self.host.name, [one for one in outcomes if one.reason is not Reason.UNFINISHED])


_OURS = GUARD_REASONS | {Reason.BUSY}
"""A no of our own; any other reason means that what was wanted could not be done."""


_GIVES_BACK = (Action.RESTORE_FILE, Action.RESTORE_VOLUME, Action.RESTORE_IMAGE)

_PACKAGES = (Action.UPGRADE_PACKAGE, Action.REPAIR_PACKAGES)


def _is_reboot(step: Step) -> bool:
    return any(change.action is Action.REBOOT_HOST for change in step.changes)


def _changes(steps: Sequence[Step]) -> Iterator[Change]:
    for step in steps:
        yield from step.changes


def _step_to_json(step: Step) -> dict[str, Json]:
    return {
        "id": step.id,
        "task": step.task,
        "op": step.op,
        "changes": [change_to_json(change) for change in step.changes],
        "args": dict(step.args),
    }
