"""What a run writes down before and after each change; when it cannot, nothing more is changed anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from maintenancebot.errors import StoreError
from maintenancebot.model import Outcome, Reason, Step
from maintenancebot.store import Store


class Ledger:
    """The store as seen by the threads of one run."""

    def __init__(self, store: Store, run_id: str, plan_digest: str, now: Callable[[], datetime]) -> None:
        self._store = store
        self._run_id = run_id
        self._digest = plan_digest
        self._now = now
        self._broken = threading.Event()

    def objection(self) -> Reason:
        """Why the next change must not be made, NONE if it may: asked before every single one; fails closed."""
        if self._broken.is_set():
            return Reason.AUDIT_UNWRITABLE
        return Reason.STOPPED if self._store.guard.stopped() is not None else Reason.NONE

    def intend(self, host: str, machine_id: str, steps: Sequence[Step]) -> bool:
        """Write down what will be done to a host, before its first change; False: do nothing."""
        try:
            self._store.intents.record(self._run_id, host, self._digest, steps, at=self._now(), machine_id=machine_id)
        except StoreError:
            self._broken.set()
            return False
        return True

    def settle(self, host: str, outcomes: Sequence[Outcome]) -> None:
        """Write down what became of changes; if that fails they stay open for the next start, and all else stops."""
        if not outcomes:
            return
        try:
            self._store.intents.close(self._run_id, list(outcomes), host=host, at=self._now())
        except StoreError:
            self._broken.set()
