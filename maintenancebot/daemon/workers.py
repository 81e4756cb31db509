"""Pieces of work side by side: a bounded number of threads, each piece once at a time and seen by the vitals."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from maintenancebot.daemon.vitals import Vitals
from maintenancebot.engine.progress import WAITS, Progress
from maintenancebot.errors import MaintenanceError
from maintenancebot.model import State

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """Something to be done, by a key that tells it from everything else."""

    key: str
    patience: float  # seconds for which it may be silent
    work: Callable[[Progress], None]


class Workers:
    """Up to `parallel()` threads, which are there only while there is something to do.

    The threads are daemons: one that is stuck where no limit reaches cannot keep the process.
    """

    def __init__(self, name: str, parallel: Callable[[], int], vitals: Vitals) -> None:
        self._name, self._parallel, self._vitals = name, parallel, vitals
        self._change = threading.Condition()
        self._waiting: deque[tuple[Piece, contextvars.Context]] = deque()
        self._keys: set[str] = set()
        self._threads = 0
        self._is_open = True

    def submit(self, piece: Piece) -> bool:
        """Have a piece done; False when it waits or is at work already, or nothing is begun any more."""
        with self._change:
            if not self._is_open or piece.key in self._keys:
                return False
            self._keys.add(piece.key)
            self._waiting.append((piece, contextvars.copy_context()))
            self._start()
            return True

    def go_on(self) -> None:
        """Start what still waits although there is room for it: more may be at work by now, or there was no thread."""
        with self._change:
            self._start()

    def has(self, key: str) -> bool:
        """Whether the piece waits or is at work."""
        with self._change:
            return key in self._keys

    def is_idle(self) -> bool:
        """Whether nothing waits or is at work."""
        with self._change:
            return not self._keys

    def close(self) -> None:
        """Begin nothing any more; what waits is forgotten, since it is stored elsewhere that it waits."""
        with self._change:
            self._is_open = False
            for piece, _ in self._waiting:
                self._keys.discard(piece.key)
            self._waiting.clear()

    def stop(self, seconds: float) -> bool:
        """Close, and wait for what is at work; whether all ended in time."""
        self.close()
        until = time.monotonic() + seconds
        with self._change:
            return self._change.wait_for(lambda: not self._threads, max(0.0, until - time.monotonic()))

    def _start(self) -> None:
        """Start a thread for what waits, if there is room; where the system gives none, it is tried again later."""
        if not self._waiting or self._threads >= self._parallel():
            return
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError as error:
            _log.error("no thread can be started", extra={"action": "no_thread", "part": self._name, "why": str(error)})
            return
        self._threads += 1  # the thread looks at it when the caller lets go

    def _run(self) -> None:
        while (taken := self._take()) is not None:
            piece, context = taken
            try:
                context.run(self._do, piece)
            finally:
                with self._change:
                    self._keys.discard(piece.key)

    def _take(self) -> tuple[Piece, contextvars.Context] | None:
        with self._change:
            if self._waiting and self._threads <= self._parallel():
                return self._waiting.popleft()
            self._threads -= 1
            self._change.notify_all()
            return None

    def _do(self, piece: Piece) -> None:
        token = self._vitals.begin(piece.key, piece.patience)
        try:
            piece.work(Heartbeat(piece.key, token, self._vitals))
        except MaintenanceError as error:
            _log.error(
                "a piece of work failed", extra={"action": "piece_failed", "piece": piece.key, "why": str(error)}
            )
        except Exception:
            _log.exception("a fault of ours", extra={"action": "fault", "piece": piece.key})
        finally:
            self._vitals.end(token)
            self._vitals.note(piece.key, "")


class Heartbeat:
    """The progress of a piece: every sign of it is a beat, and who waits for whom is told."""

    def __init__(self, key: str, token: int, vitals: Vitals) -> None:
        self._key, self._token, self._vitals = key, token, vitals
        self._phase = ""
        self._waits: dict[str, str] = {}  # by host, as told last: who waits long says it once

    def start(self, total: int, phase: str) -> None:
        """A phase begins."""
        self._phase = phase
        self._vitals.progress(self._token)
        _log.info("a phase begins", extra={"action": "phase", "phase": phase, "hosts": total})

    def host(self, name: str, state: State | None, note: str) -> None:
        """A host is at work, waits, or is done."""
        self._vitals.progress(self._token)
        if state is not None:
            facts = {"host": name, "phase": self._phase, "state": state.value, "detail": note}
            _log.info("a host is done", extra={"action": "host_done", **facts})
        elif note.startswith(WAITS) and self._waits.get(name) != note:
            self._waits[name] = note
            self._vitals.note(self._key, f"{name} {note}")
            _log.info("a host is waited for", extra={"action": "host_waits", "host": name, "detail": note})

    def step(self, host: str, name: str, state: State) -> None:
        """A change has an outcome."""
        self._vitals.progress(self._token)
        _log.info("a change ended", extra={"action": "change", "host": host, "change": name, "state": state.value})

    def finish(self) -> None:
        """A phase is over."""
        self._vitals.progress(self._token)
        self._vitals.note(self._key, "")
