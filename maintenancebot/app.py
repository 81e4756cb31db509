"""Wires the product: makes the real clock, store and connections, hands them to the engine, and returns reports."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from maintenancebot.engine import cycle, guards, pinging, reconcile, trash
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.pinging import PingResult as PingResult
from maintenancebot.engine.planned import from_plan_file
from maintenancebot.engine.progress import Progress
from maintenancebot.engine.trash import TrashResult as TrashResult
from maintenancebot.engine.work import Work
from maintenancebot.errors import MaintenanceError, StoreError, UsageError
from maintenancebot.inventory import Inventory, load_both
from maintenancebot.model import Host, HostReport, Outcome, Reason, Report, State, worst
from maintenancebot.plan.document import Plan
from maintenancebot.remote.connecting import Connections, known_hosts_path
from maintenancebot.report import document
from maintenancebot.report.totals import totals
from maintenancebot.settings import Settings, load_settings
from maintenancebot.store import Store, stop_by_file
from maintenancebot.store.location import state_dir as locate_state
from maintenancebot.store.run_lock import RunLock


class Options(Protocol):
    """What the command line was told for all commands."""

    @property
    def config(self) -> Path | None: ...
    @property
    def inventory(self) -> Path | None: ...
    @property
    def state_dir(self) -> Path | None: ...


@dataclass(frozen=True)
class Context:
    """Settings, inventory and state directory of one command."""

    settings: Settings
    inventory: Inventory
    state: Path

    @contextmanager
    def connections(self) -> Iterator[Connections]:
        """The maker of all connections, closed at the end."""
        connections = Connections(self.settings.ssh, self.inventory.hosts, self.state)
        try:
            yield connections
        finally:
            connections.close()

    def work(
        self, run_id: str, connections: Connections, progress: Progress, stop: threading.Event | None = None
    ) -> Work:
        """The surroundings of a run, with the real clock."""
        fleet = len(self.inventory.hosts)
        return Work(run_id, self.settings, connections.connect, now, progress, stop or threading.Event(), fleet)

    def store(self) -> Store:
        """The state for a run, made if there never was one; raises StoreError rather than starting empty."""
        rules = self.settings
        return Store.open(self.state, create=True, url=rules.store.url, kill_switch=rules.guards.kill_switch_file)

    def store_readonly(self) -> Store:
        """The state for looking only."""
        rules = self.settings
        return Store.open_readonly(self.state, url=rules.store.url, kill_switch=rules.guards.kill_switch_file)


def load(options: Options) -> Context:
    """Read and check configuration and inventory; raises UsageError with every fault."""
    settings, inventory = load_both(options.config, options.inventory)
    return Context(settings, inventory, locate_state(options.state_dir))


def now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)


def dry_run(
    options: Options,
    *,
    hosts: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    refresh: bool = False,
    progress: Progress,
    stop: threading.Event,
) -> tuple[Report, Plan]:
    """The plan for the fleet; nothing is written, unless `refresh` renews package lists first, which is audited."""
    context = load(options)
    selected = select(context, hosts, groups, tasks)
    started = now()
    lock = RunLock(context.state)
    with ExitStack() as stack:
        if refresh:
            stack.enter_context(lock)  # it renews lists and settles what was unfinished: never beside a run
        store = stack.enter_context(context.store() if refresh else context.store_readonly())
        connections = stack.enter_context(context.connections())
        work = context.work(_new_run_id(started), connections, progress, stop)
        alone = refresh or not lock.is_held()  # what a run is at right now is not unfinished
        judged, notes = _look_and_judge(selected, work, store, refresh=refresh, settle=alone)
    report = _report("dry-run", work, started, cycle.host_reports(selected, judged), notes)
    return report, judged.seen.plan


def run(
    options: Options,
    *,
    hosts: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    plan_file: Path | None = None,
    progress: Progress,
    stop: threading.Event,
) -> Report:
    """The cycle now, or exactly the plan of a file; one run at a time on a state directory."""
    context = load(options)
    selected = select(context, hosts, groups, tasks)
    started = now()
    plan = from_plan_file(plan_file, context.settings, started) if plan_file else None
    with RunLock(context.state), context.store() as store, context.connections() as connections:
        work = context.work(_new_run_id(started), connections, progress, stop)
        store.runs.start(work.run_id, "run", context.settings.digest, at=started)
        if plan is None:
            judged, notes = _look_and_judge(selected, work, store, refresh=True, settle=True)
        else:
            judged, notes = _take_plan(plan, selected, work, store)
        ledger = Ledger(store, work.run_id, judged.seen.plan.digest, now)
        left = guards.actions_left(store, work, now())
        brakes = Brakes(work, ledger, expires_at=judged.seen.plan.expires_at, budget=left)
        notes += guards.ask_for_approval(store, judged, work)
        judged = cycle.make(selected, judged, work, ledger, brakes)
        report = _report("run", work, started, cycle.host_reports(selected, judged), notes)
        return _finish(report, judged, work, store)


def _take_plan(plan: Plan, selected: Sequence[Selected], work: Work, store: Store) -> tuple[Judged, list[str]]:
    """The gate's word on a plan of a file; hosts with unfinished changes are asked for these first."""
    missing = {host.host for host in plan.hosts} - {item.host.name for item in selected}
    if missing:
        raise UsageError(f"the plan is for {min(missing)!r}, which is not in the inventory")
    given = cycle.given(plan, selected)
    open_intents = reconcile.unfinished(store, [item.host.name for item in selected])
    asked = [Selected(item.host, ()) for item in selected if item.host.name in open_intents]
    recalled = cycle.look(
        asked,
        work,
        configuration=plan.configuration,
        refresh=guards.RefreshBook(store, work, wanted=False),
        machine_ids={},
        unfinished=reconcile.changes(open_intents),
    )
    notes = reconcile.settle(store, open_intents, recalled, work)
    given = cycle.with_recalled(given, recalled)
    return cycle.judge(selected, given, work, guards.read(store, selected, plan, work)), notes


def _finish(report: Report, judged: Judged, work: Work, store: Store) -> Report:
    """Store how a run ended; the report is told even when that fails."""
    try:
        guards.learn(store, judged, work)
        store.runs.finish(
            work.run_id, report.state, totals(report.hosts), document.report_to_json(report), at=report.finished_at
        )
    except StoreError as error:
        note = f"the end of this run could not be stored: {error}"
        return replace(report, state=worst([report.state, State.UNKNOWN]), notes=(*report.notes, note))
    return report


def inventory(options: Options) -> Inventory:
    """The hosts as configured."""
    return load(options).inventory


def ping(options: Options, hosts: tuple[str, ...], progress: Progress) -> list[PingResult]:
    """Who answers, and as whom."""
    context = load(options)
    with context.connections() as connections:
        work = context.work("ping", connections, progress)
        return pinging.ping(chosen_hosts(context.inventory, hosts), work)


@dataclass(frozen=True)
class HostKey:
    """The key a host shows now, and what is pinned for it."""

    host: str
    address: str
    port: int
    type: str
    fingerprint_sha256: str
    known: str  # "new", "same" or "changed"
    known_fingerprint: str
    line: str  # as known_hosts holds it


def host_key(options: Options, name: str) -> HostKey:
    """Ask a host for its key without logging in; raises RemoteError or UsageError."""
    from maintenancebot.remote.host_keys import fingerprint, server_name

    context = load(options)
    host = chosen_hosts(context.inventory, (name,))[0]
    if host.connection == "local":
        raise UsageError(f"{name} is this machine; there is no key to pin")
    with context.connections() as connections:
        key = connections.connector.server_key(host)
        pinned = connections.connector.pinned(host)
    same = [one for one in pinned if one == key]
    return HostKey(
        host=name,
        address=host.address,
        port=host.port,
        type=key.get_name(),
        fingerprint_sha256=fingerprint(key),
        known="same" if same else "changed" if pinned else "new",
        known_fingerprint=fingerprint(pinned[0]) if pinned else "",
        line=f"{server_name(host.address, host.port)} {key.get_name()} {key.get_base64()}",
    )


def trust(options: Options, shown: HostKey, *, replace: bool) -> None:
    """Pin the key that was shown; raises UsageError when another one is pinned and `replace` is not given.

    A replaced key may mean a new machine: the machine-id that was remembered is forgotten with it.
    """
    from maintenancebot.remote.host_keys import KnownHosts

    if shown.known == "changed" and not replace:
        raise UsageError(f"{shown.host} has another key pinned; if the new one is right, add --replace")
    context = load(options)
    KnownHosts(known_hosts_path(context.settings.ssh, context.state)).pin_line(shown.line)
    if replace:
        with context.store() as store:
            store.machines.forget(shown.host, at=now())


def trash_list(options: Options, hosts: tuple[str, ...], progress: Progress) -> list[TrashResult]:
    """What lies in the trash of the hosts, told by the hosts alone."""
    context = load(options)
    with context.connections() as connections:
        work = context.work("trash", connections, progress)
        return trash.contents(chosen_hosts(context.inventory, hosts), work)


def trash_restore(options: Options, host: str, item: str, to: str | None) -> Outcome:
    """Put one item back; the same gate, intent, helper and record as any change."""
    from maintenancebot.engine.progress import Silent

    context = load(options)
    target = chosen_hosts(context.inventory, (host,))[0]
    started = now()
    with RunLock(context.state), context.store() as store, context.connections() as connections:
        run_id = _new_run_id(started)
        work = context.work(run_id, connections, Silent())
        found = trash.find(target, item, work)
        store.runs.start(run_id, "trash restore", context.settings.digest, at=started)
        outcome = trash.restore(target, found, to or "", work, store)
        store.runs.finish(run_id, outcome.state, {}, {}, at=now())
    return outcome


def select(context: Context, hosts: Sequence[str], groups: Sequence[str], tasks: Sequence[str]) -> tuple[Selected, ...]:
    """The hosts of this command, each with its tasks; raises UsageError for a name that is not there."""
    unknown = [name for name in tasks if name not in {task.name for task in context.settings.tasks}]
    if unknown:
        known = ", ".join(task.name for task in context.settings.tasks)
        raise UsageError(f"no task is named {unknown[0]!r}; there are: {known}")
    chosen = chosen_hosts(context.inventory, hosts, groups)
    wanted = [task for task in context.settings.tasks if not tasks or task.name in tasks]
    per_task = {task.name: {host.name for host in context.inventory.select(task.hosts)} for task in wanted}
    return tuple(Selected(host, tuple(task for task in wanted if host.name in per_task[task.name])) for host in chosen)


def chosen_hosts(inventory: Inventory, hosts: Sequence[str], groups: Sequence[str] = ()) -> tuple[Host, ...]:
    """The hosts that `--host` and `--group` name, all without them."""
    if not hosts and not groups:
        return inventory.hosts
    names = {host.name for host in inventory.hosts}
    for name in hosts:
        if name not in names:
            raise UsageError(f"no host is named {name!r}; see `maintenancebot hosts`")
    for name in groups:
        if name not in inventory.groups():
            raise UsageError(f"no group is named {name!r}; there are: {', '.join(sorted(inventory.groups()))}")
    return tuple(host for host in inventory.hosts if host.name in hosts or set(host.groups) & set(groups))


def get_report(options: Options, run_id: str) -> Report:
    """A stored run's report, by id or unique beginning of an id; raises UsageError when there is none."""
    with state(options) as store:
        stored = store.runs.get(run_id)
    if stored is None or not stored.report:
        raise UsageError(f"no finished run {run_id!r}; see `maintenancebot history`")
    return document.report_from_json(stored.report)


def state(options: Options, *, write: bool = False) -> Store:
    """The state where the configuration places it, for looking or for writing; raises UsageError and StoreError."""
    settings, place = load_settings(options.config), locate_state(options.state_dir)
    url, kill_switch = settings.store.url, settings.guards.kill_switch_file
    if write:
        return Store.open(place, create=True, url=url, kill_switch=kill_switch)
    return Store.open_readonly(place, url=url, kill_switch=kill_switch)


def stop(options: Options, reason: str, by: str) -> str:
    """Stop everything, by file if the configuration or the database cannot be used; returns why they could not."""
    at = now()
    stopped = stop_by_file(locate_state(options.state_dir), reason, by, at=at)
    try:
        with state(options, write=True) as store:
            store.guard.stop(reason, by, at=at)
    except MaintenanceError as error:
        if not stopped:
            raise
        return str(error)
    return ""


def _look_and_judge(
    selected: Sequence[Selected], work: Work, store: Store, *, refresh: bool, settle: bool
) -> tuple[Judged, list[str]]:
    names = [item.host.name for item in selected]
    open_intents = reconcile.unfinished(store, names) if settle else {}
    seen = cycle.look(
        selected,
        work,
        configuration=work.settings.digest,
        refresh=guards.RefreshBook(store, work, wanted=refresh),
        machine_ids=guards.machine_ids(store, names),
        unfinished=reconcile.changes(open_intents),
    )
    notes = reconcile.settle(store, open_intents, seen, work)
    return cycle.judge(selected, seen, work, guards.read(store, selected, seen.plan, work)), notes


def _report(command: str, work: Work, started: datetime, hosts: tuple[HostReport, ...], notes: Sequence[str]) -> Report:
    return Report(
        command=command,
        run_id=work.run_id,
        started_at=started,
        finished_at=now(),
        state=worst([host.state for host in hosts if host.reason is not Reason.NOT_SELECTED]),
        hosts=hosts,
        totals=totals(hosts),
        notes=tuple(notes),
    )


def _new_run_id(started: datetime) -> str:
    return f"{started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
