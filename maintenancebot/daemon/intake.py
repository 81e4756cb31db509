"""Takes alerts in: one thread commits together what has queued up, so that a storm of senders costs few commits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from maintenancebot.daemon.vitals import INTAKE, Vitals
from maintenancebot.errors import BusyError
from maintenancebot.store import Received, Store

MOST_QUEUED = 20_000
"""Alerts that may wait to be stored; beyond that senders are asked to come again."""

BEAT_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Intake:
    """The way of alerts into the store; `wake` is called after each commit, from the intake's thread."""

    def __init__(self, store: Store, vitals: Vitals) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._store = store
        self._vitals = vitals
        self._queue: list[tuple[Sequence[Received], Future[None]]] = []
        self._rows = 0
        self._change = threading.Condition()
        self._is_open = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    def start(self) -> None:
        """Begin to take alerts in."""
        self._is_open = True
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Take no more in, and store what has queued up; whether that was done in time."""
        with self._change:
            self._is_open = False
            self._change.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def put(self, rows: Sequence[Received]) -> Future[None]:
        """Store these; the future is done when they are on disk, and has the StoreError when they are not.

        Raises BusyError when too many wait already, or nothing is taken in.
        """
        future: Future[None] = Future()
        with self._change:
            if not self._is_open:
                raise BusyError("no alerts are taken in now")
            if self._rows and self._rows + len(rows) > MOST_QUEUED:
                raise BusyError(f"{self._rows} alerts wait to be stored")
            self._queue.append((rows, future))
            self._rows += len(rows)
            self._change.notify()
        return future

    def _run(self) -> None:
        while True:
            with self._change:
                if not self._queue and self._is_open:
                    self._change.wait(BEAT_SECONDS)
                batch, self._queue, self._rows = self._queue, [], 0
                is_over = not batch and not self._is_open
            self._vitals.beat(INTAKE)
            if is_over:
                return
            if batch:
                self._commit(batch)

    def _commit(self, batch: Sequence[tuple[Sequence[Received], Future[None]]]) -> None:
        waiting = [future for _, future in batch if future.set_running_or_notify_cancel()]
        try:
            self._store.alerts.receive([row for rows, _ in batch for row in rows])
        except Exception as error:  # each sender is told, and sends again; the thread goes on
            _log.error("alerts could not be stored", extra={"action": "alerts_not_stored", "error": str(error)})
            for future in waiting:
                future.set_exception(error)
            return
        for future in waiting:
            future.set_result(None)
        self.wake()
