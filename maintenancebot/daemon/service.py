"""The daemon's life: start, serve, stop. Made of parts that are named, and stopped in reverse order within a limit."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from starlette.routing import Route

from maintenancebot.app.context import Context, Options, load, now, renewed
from maintenancebot.app.person import DAEMON
from maintenancebot.daemon import health, logs, metrics
from maintenancebot.daemon.cleanups import Cleanups
from maintenancebot.daemon.duties import Duties
from maintenancebot.daemon.server import Server
from maintenancebot.daemon.signals import Order, Signals
from maintenancebot.daemon.systemd import Systemd
from maintenancebot.daemon.troubles import Troubles
from maintenancebot.daemon.vitals import CONFIGURATION, Vitals
from maintenancebot.errors import StoreError, UsageError
from maintenancebot.model import Json
from maintenancebot.policy import slots
from maintenancebot.store import Store

STOP_SECONDS = 90.0
PACE_SECONDS = 5.0
RETRY_SECONDS = 10.0
US = "maintenancebot daemon"
STATE = "state"
INVENTORY = "inventory"
WATCHDOG = "watchdog"

_log = logging.getLogger(__name__)


class DaemonOptions(Options, Protocol):
    """What the command line was told."""

    @property
    def verbose(self) -> bool: ...
    @property
    def quiet(self) -> bool: ...


class Service:
    """One daemon; the state may be out of reach at its start, and is waited for then."""

    def __init__(self, options: DaemonOptions, *, limit: float = STOP_SECONDS) -> None:
        self._options, self._limit = options, limit
        self._signals = Signals()
        self._systemd = Systemd()
        self._vitals, self._troubles, self._cleanups = Vitals(), Troubles(), Cleanups()
        self._context: Context = load(options, by=DAEMON)
        self._duties: Duties | None = None
        self._looking: Store | None = None  # the state for looking only, while it cannot be written
        self._server = Server(self._context.settings.http, self._narrow())
        self._next_try = 0.0
        self._status = ""

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit code. Raises UsageError for what cannot be started with."""
        self._log_to_stderr()
        try:
            self._start()
            self._serve()
        finally:
            self._systemd.stopping("ending after the change in hand")
            _log.info("the daemon stops", extra={"action": "stopping"})
            ended = self._cleanups.run(self._limit)
            _log.info("the daemon has stopped", extra={"action": "stopped", "in_time": ended})
        return 0

    def _start(self) -> None:
        port = self._server.start()
        self._cleanups.add("server", self._server.stop)
        self._open()
        self._status = self._words()
        self._systemd.ready(self._status)
        facts = {"address": self._context.settings.http.host, "port": port}
        _log.info("the daemon is up", extra={"action": "started", **facts})

    def _serve(self) -> None:
        while (order := self._signals.wait(min(PACE_SECONDS, self._systemd.pace or PACE_SECONDS))) is not Order.STOP:
            if order is Order.RELOAD:
                self._reload()
            trouble = self._vitals.trouble()
            self._troubles.set(WATCHDOG, trouble)
            if not trouble:
                self._systemd.feed()
            if self._duties is None and time.monotonic() >= self._next_try:
                self._open()
            self._tell_status()

    def _open(self) -> None:
        """Open the state and begin; while that cannot be done, say so wherever somebody looks, and try again."""
        try:
            store = self._context.store()
        except StoreError as error:
            self._troubles.set(STATE, str(error))
            self._next_try = time.monotonic() + RETRY_SECONDS
            self._look_only()
            return
        self._troubles.set(STATE, "")
        self._close_looking(0)
        self._cleanups.add("state", lambda _: store.close())
        self._cleanups.add("routes", lambda _: self._server.serve(self._narrow()))
        self._duties = Duties(self._now_held, self._ask_sources, store, self._vitals, self._troubles)
        self._duties.start(self._cleanups)
        self._server.serve(self._duties.routes())

    def _look_only(self) -> None:
        if self._looking is None:
            with suppress(StoreError):
                self._looking = self._context.store_readonly()
                self._cleanups.add("state for looking", self._close_looking)
            self._server.serve(self._narrow())

    def _close_looking(self, _: float) -> None:
        if self._looking is not None:
            self._looking.close()
            self._looking = None

    def _narrow(self) -> list[Route]:
        """What is served without a state that can be written: that nothing can be done, and why."""
        routes = health.routes(self._causes, self._tell, health.permission(self._now_held))
        if self._looking is not None:
            routes.append(metrics.route(self._looking, self._vitals, self._now_held, self._causes))
        return routes

    def _causes(self) -> list[health.Cause]:
        return [health.Cause("store", False, self._troubles.known().get(STATE, "the daemon starts or stops"))]

    def _tell(self) -> Json:
        return {"schema": 1, "troubles": self._troubles.known()}

    def _now_held(self) -> Context:
        """The configuration that holds now."""
        return self._context

    def _ask_sources(self) -> None:
        """Ask the sources of the inventory again; what they listed before holds where they cannot be asked."""
        held = self._context
        try:
            fresh = renewed(held, self._options)
        except UsageError as error:
            self._troubles.set(INVENTORY, str(error))
            return
        self._troubles.set(INVENTORY, "")
        if self._context is held:  # else a reload was quicker, and asked by itself
            self._context = fresh

    def _reload(self) -> None:
        """Take configuration and inventory anew, or keep all as it is and say why."""
        self._systemd.reloading()
        try:
            # Webhook and log go by the secrets of the start: the ones that are read now hold from the next start on.
            fresh = replace(load(self._options, by=DAEMON), secrets=self._context.secrets)
            _check_fixed(self._context, fresh)
        except UsageError as error:
            self._vitals.note(CONFIGURATION, str(error))
            _log.error("the reload was refused", extra={"action": "reload_refused", "why": str(error)})
        else:
            self._context = fresh
            self._vitals.note(CONFIGURATION, "")
            self._log_to_stderr()
            if self._duties is not None:
                self._duties.reloaded()
            _log.info("configuration and inventory are reloaded", extra={"action": "reloaded"})
        self._status = self._words()
        self._systemd.ready(self._status)

    def _tell_status(self) -> None:
        words = self._words()
        if words != self._status:
            self._status = words
            self._systemd.status(words)

    def _words(self) -> str:
        """One line for `systemctl status`."""
        settings = self._context.settings
        coming = min(slots.coming(settings, now(), 1), key=lambda one: one.at, default=None)
        work = ", ".join(piece.name for piece in self._vitals.pieces())
        parts = [f"{about}: {words}" for about, words in self._troubles.known().items()]
        if refused := self._vitals.notes().get(CONFIGURATION):
            parts.append(f"reload refused, the old configuration holds: {refused}")
        parts.append(f"at work: {work}" if work else "waiting")
        parts.append(f"next: {coming.schedule} {coming}" if coming else "no schedule")
        return "; ".join(parts)

    def _log_to_stderr(self) -> None:
        options, secrets = self._options, self._context.secrets.values
        logs.configure(secrets, json=not sys.stderr.isatty(), verbose=options.verbose, quiet=options.quiet)


def _check_fixed(old: Context, new: Context) -> None:
    """Raises UsageError for a change that only a restart can take: half of a configuration is none."""
    before, after = old.settings, new.settings
    fixed = {
        "http.host": (before.http.host, after.http.host),
        "http.port": (before.http.port, after.http.port),
        "http.tls": (before.http.tls, after.http.tls),
        "http.read_timeout": (before.http.read_timeout, after.http.read_timeout),
        "store": (before.store, after.store),
        "guards.kill_switch_file": (before.guards.kill_switch_file, after.guards.kill_switch_file),
    }
    changed = [name for name, (was, is_) in fixed.items() if was != is_]
    if changed:
        raise UsageError(f"{', '.join(changed)} cannot change while the daemon runs; restart it")
