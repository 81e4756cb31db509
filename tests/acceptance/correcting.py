"""Declared items against one lab host over real SSH: look, plan, correct, with the engine's own answer about logins."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from maintenancebot.actions import drift as actions
from maintenancebot.engine import logins
from maintenancebot.engine.progress import Silent
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Autonomy, Change, Host, Json, Outcome
from maintenancebot.plan import drift as planner
from maintenancebot.plan.document import TaskPlan, change_to_json
from maintenancebot.probes import drift as probe
from maintenancebot.remote.client import HelperCall, Limits
from maintenancebot.remote.host_keys import KnownHosts
from maintenancebot.remote.session import Session
from maintenancebot.remote.ssh import Connector, SshLimits
from maintenancebot.settings import Correct, DriftTask, Item, ItemKind, Settings
from tests.acceptance.subjects import _look
from tests.lab.fleet import Fleet

LIMITS = Limits(idle=60, deadline=200)
REVERT_SECONDS = 25


def file(path: str, content: bytes | None, *, reload: str = "", **wanted: Json) -> Item:
    """A declared file; without content one that is declared absent."""
    if content is None:
        wanted = {"state": "absent", **wanted}
    else:
        digest = hashlib.sha256(content).hexdigest()
        wanted = {"state": "present", "sha256": digest, "size": len(content), **wanted}
    return Item(ItemKind.FILE, path, wanted, Correct.SAFE, content, reload=reload)


class Corrector:
    """A controller for one host; `connect` may be replaced by what a test needs."""

    def __init__(self, fleet: Fleet, name: str, user: str = "ops") -> None:
        self.fleet, self.lab_host = fleet, fleet[name]
        self.host = Host(name, self.lab_host.address, self.lab_host.port, user, become=user != "root")
        self.connect: Callable[[Host], Session] = self._connect
        self.settings = Settings.model_validate(
            {"name": "lab", "tasks": [{"name": "logs", "type": "cleanup", "journal": {"keep_days": 99}}]}
        )

    def plan(self, *items: Item) -> TaskPlan:
        """What is not as declared, and the changes."""
        task = DriftTask(items, Autonomy.AUTO)
        session = self._connect(self.host)
        try:
            args = probe.request(task, self.settings, self.host, refresh=False)
            facts, result = _look(session, [{"id": "t", "op": probe.OP, "args": args}])
        finally:
            session.close()
        return planner.plan(self.host, task, self.settings, facts, result)

    def correct(self, *items: Item) -> list[Outcome]:
        """Look, plan, and make all changes."""
        return self.make(self.plan(*items).changes, *items)

    def make(self, changes: Sequence[Change], *items: Item, seconds: int = REVERT_SECONDS) -> list[Outcome]:
        """Make the changes, all allowed."""
        steps = actions.steps(DriftTask(items, Autonomy.AUTO), self.settings, changes)
        sent = [self._sent(step, seconds) for step in steps]
        made: list[Outcome] = []
        session = self._connect(self.host)
        try:
            call = HelperCall(session, {"mode": "apply", "run": "lab", "lock": "exclusive", "steps": sent}, LIMITS)
            by_id = {step.id: step for step in steps}
            for kind, payload in call.frames():
                if kind == "step":
                    call.answer("go", {"step": payload["step"]})
                elif kind == "ask":
                    call.answer("answer", {"step": payload["step"], "answer": self.answer(payload["question"])})
                elif kind == "outcome":
                    made += actions.outcomes(by_id[payload["step"]], payload["outcomes"])
        finally:
            session.close()
        return made

    def answer(self, question: Mapping[str, Json]) -> Mapping[str, Json]:
        """What the engine says to the helper's question."""
        assert question == {"ask": "login"}
        work = Work("lab", self.settings, self.connect, lambda: datetime.now(UTC), Silent(), threading.Event())
        return logins.answer(self.host, self.lab_host.machine_id, work)

    def lets_in(self) -> bool:
        """Whether a new login works, in full."""
        try:
            self._connect(self.host).close()
        except RemoteError:
            return False
        return self.lab_host.ssh("sudo -n true", check=False).returncode == 0

    def recall(self, change: Change) -> dict[str, Any]:
        """What the host says became of a change."""
        session = self._connect(self.host)
        try:
            asked = {"id": "t", "op": "recall", "args": {"changes": [change_to_json(change)]}}
            _, result = _look(session, [asked])
        finally:
            session.close()
        return dict(result.findings[0].data)

    def _sent(self, step: Any, seconds: int) -> dict[str, Json]:
        args = {**step.args, "revert_seconds": seconds}
        changes = [change_to_json(change) for change in step.changes]
        return {"id": step.id, "task": step.task, "op": step.op, "args": args, "changes": changes}

    def _connect(self, host: Host) -> Session:
        limits = SshLimits(connect=5, login=10, idle=60)
        known = KnownHosts(self.fleet.known_hosts)
        return Connector(known, limits, keys=(self.fleet.key,), agent=False).connect(host)
