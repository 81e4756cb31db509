"""What a run writes down before and after each change; when it cannot, nothing more is changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping, Sequence

from maintenancebot.engine.holding import Holding
from maintenancebot.errors import FencedError, StoreError
from maintenancebot.model import Host, Outcome, Reason, Step
from maintenancebot.policy.breakers import BreakerState
from maintenancebot.policy.budgets import Limits
from maintenancebot.store.breakers import Transition

_log = logging.getLogger(__name__)


class Ledger:
    """The store as seen by the threads of one run; all of a host's rows are written under the host's lease."""

    def __init__(self, holding: Holding, plan_digest: str, limits: Limits | None = None) -> None:
        """`limits` are the budgets; without them a person's own request."""
        self.holding = holding
        self._store = holding.store
        self._run_id = holding.work.run_id
        self._now = holding.work.now
        self._digest = plan_digest
        self._limits = limits
        self._guards = holding.work.settings.guards
        self._broken = threading.Event()
        self._fenced: set[str] = set()

    def objection(self, host: str) -> Reason:
        """Why the next change must not be made, NONE if it may: asked before every single one; fails closed."""
        if self._broken.is_set():
            return Reason.AUDIT_UNWRITABLE
        if self._store.guard.stopped() is not None:
            return Reason.STOPPED
        return Reason.NONE if self._is_ours(host) else Reason.FENCED

    def admit(self, host: Host, rules: Collection[str]) -> dict[str, str]:
        """Ask the circuit breakers right before the work on a host: by rule why it is held back, where it is."""
        try:
            held, changed = self._store.breakers.admit(
                self._run_id, host.name, host.groups, rules, rules=self._guards, at=self._now()
            )
        except StoreError:
            self._broken.set()
            return {}
        _log_all(changed)
        return held

    def lapsed(self, approved: Collection[str]) -> frozenset[str]:
        """Which of these changes are not approved any more."""
        if not approved:
            return frozenset()
        try:
            return frozenset(approved) - self._store.approvals.approved_changes(at=self._now())
        except StoreError:
            self._broken.set()
            return frozenset(approved)

    def teach(self, host: Host, effects: Mapping[str, bool | None]) -> None:
        """Tell the circuit breakers what was done to a host, by rule whether it did good; None where nothing was."""
        try:
            changed = self._store.breakers.learn(
                self._run_id, host.name, host.groups, effects, rules=self._guards, at=self._now()
            )
        except StoreError:
            self._broken.set()
            return
        _log_all(changed)

    def intend(self, host: str, machine_id: str, steps: Sequence[Step]) -> tuple[list[Step], Reason]:
        """Write down what will be done to a host, before its first change.

        Returns the steps that may be made, from the first on, and why the others may not.
        """
        lease = self.holding.lease(host)
        if lease is None:
            return [], Reason.FENCED
        try:
            granted = self._store.intents.record(
                self._run_id,
                host,
                self._digest,
                steps,
                at=self._now(),
                machine_id=machine_id,
                lease=lease,
                limits=self._limits,
            )
        except FencedError:
            self._fence(host)
            return [], Reason.FENCED
        except StoreError:
            self._broken.set()
            return [], Reason.AUDIT_UNWRITABLE
        return granted, Reason.NONE if len(granted) == len(steps) else Reason.BUDGET_SPENT

    def settle(self, host: str, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of changes.

        If that fails they stay open for the next start, and all else stops; if somebody has taken over the host, they
        are for that one to find out, and only this host's work stops.
        """
        lease = self.holding.lease(host)
        if not outcomes or lease is None:
            return
        try:
            self._store.intents.close(self._run_id, list(outcomes), host=host, at=self._now(), lease=lease)
        except FencedError:
            self._fence(host)
        except StoreError:
            self._broken.set()

    def _fence(self, host: str) -> None:
        self._fenced.add(host)
        _log.warning("somebody else has taken over a host", extra={"action": "fenced", "host": host})

    def _is_ours(self, host: str) -> bool:
        lease = self.holding.lease(host)
        if host in self._fenced or lease is None:  # without one nothing was intended yet
            return host not in self._fenced
        try:
            return self._store.leases.is_ours(lease)
        except StoreError:
            return False


def _log_all(changed: Sequence[Transition]) -> None:
    for one in changed:
        level = logging.WARNING if one.after is BreakerState.OPEN else logging.INFO
        told = {"scope": one.key.scope.value, "name_of": one.key.name, "state": one.after.value}
        word = f"breaker_{one.after.name.lower()}"
        _log.log(level, "a circuit breaker changes", extra={"action": word, **told, "trial": one.breaker.trial})
