"""Holds the leases of one piece of work: waits for them in sight of everybody, renews them, gives them back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

from maintenancebot.engine.progress import WAITS
from maintenancebot.engine.work import Work
from maintenancebot.errors import BusyError, StoreError
from maintenancebot.store import Store
from maintenancebot.store.leases import CYCLE, Holder, Lease, host_name

SECONDS = 60.0
"""How long a lease lasts if nobody renews it: another machine may take over after that."""

RENEW_SECONDS = 15.0
POLL_SECONDS = 0.5

LOOK_WAIT_SECONDS = 60.0
WORK_WAIT_SECONDS = 300.0


class Holding:
    """The leases of one run or episode, shared by its threads; what it has already it does not wait for."""

    def __init__(self, store: Store, work: Work) -> None:
        self.store = store
        self.work = work
        self._lock = threading.Lock()
        self._held: dict[str, Lease] = {}

    @contextmanager
    def host(self, host: str, doing: str, *, wait: float = 0) -> Iterator[Lease]:
        """Have a host to ourselves; raises BusyError when somebody else has it after `wait` seconds, or on a stop."""
        had = self.lease(host)
        if had is not None:
            yield had
            return
        with self._hold(host_name(host), host, f"{doing} of run {self.work.run_id}", wait) as lease:
            yield lease

    @contextmanager
    def cycle(self) -> Iterator[Lease]:
        """Be the one run that goes over the fleet; raises BusyError at once while another one does."""
        with self._hold(CYCLE, "", f"run {self.work.run_id}", 0) as lease:
            yield lease

    def lease(self, host: str) -> Lease | None:
        """The host's lease if we have it; whether it was taken over meanwhile, the store tells at each write."""
        with self._lock:
            return self._held.get(host_name(host))

    @contextmanager
    def _hold(self, name: str, host: str, doing: str, wait: float) -> Iterator[Lease]:
        lease = self._take(name, host, doing, wait)
        with self._lock:
            self._held[name] = lease
        _KEEPER.add(lease, self.store, self.work.now)
        try:
            yield lease
        finally:
            _KEEPER.remove(lease)
            with self._lock:
                del self._held[name]
            with suppress(StoreError):  # then it expires, or is free with the end of this process
                self.store.leases.release(lease, at=self.work.now())

    def _take(self, name: str, host: str, doing: str, wait: float) -> Lease:
        until = time.monotonic() + wait
        told = ""
        while True:
            lease = self.store.leases.take(name, doing, at=self.work.now(), seconds=SECONDS)
            if lease is not None:
                return lease
            holder = self.store.leases.holder(name, at=self.work.now())
            if holder is None:  # it has just become free
                continue
            if time.monotonic() >= until:
                raise BusyError(_busy(holder, host))
            if host and told != str(holder):
                told = str(holder)
                self.work.progress.host(host, None, f"{WAITS} {told}")
            if self.work.stop.wait(POLL_SECONDS):
                raise BusyError(_busy(holder, host))


def _busy(holder: Holder, host: str) -> str:
    if host:
        return f"{host} is being worked on: {holder}; wait for its end"
    process = f"process {holder.owner.pid}" + ("" if holder.is_here else " of another machine")
    return f"another run is at work ({process}, {holder.doing}); wait for its end, or end it with SIGTERM"


@dataclass(frozen=True)
class _Kept:
    store: Store
    now: Callable[[], datetime]


class _Keeper:
    """Renews all leases of this process from one thread, which ends with the last of them."""

    def __init__(self) -> None:
        self._kept: dict[Lease, _Kept] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease, store: Store, now: Callable[[], datetime]) -> None:
        with self._change:
            self._kept[lease] = _Kept(store, now)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()

    def remove(self, lease: Lease) -> None:
        with self._change:
            self._kept.pop(lease, None)
            self._change.notify()

    def _run(self) -> None:
        due = time.monotonic() + RENEW_SECONDS
        while True:
            with self._change:
                self._change.wait(max(0.0, due - time.monotonic()))
                if not self._kept:
                    self._thread = None
                    return
                kept = dict(self._kept)
            if time.monotonic() >= due:
                due = time.monotonic() + RENEW_SECONDS
                _renew(kept)


def _renew(kept: dict[Lease, _Kept]) -> None:
    """A store that cannot be written is tried again at the next turn; the leases outlast three of them."""
    for store in {one.store for one in kept.values()}:
        held = [lease for lease, one in kept.items() if one.store is store]
        with suppress(StoreError):
            store.leases.renew(held, at=kept[held[0]].now(), seconds=SECONDS)


_KEEPER = _Keeper()
