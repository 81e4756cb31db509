"""The weekly cycle: the plan for the fleet, and a run of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from maintenancebot.app import drift, messages, sources
from maintenancebot.app.context import Context, Options, chosen_hosts, load, new_run_id, now
from maintenancebot.app.ending import finish, report
from maintenancebot.engine import contested, cycle, guards, quiet, reconcile
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Seen, Selected
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.planned import from_plan_file
from maintenancebot.engine.progress import Progress
from maintenancebot.engine.work import Work
from maintenancebot.errors import StoreError, UsageError
from maintenancebot.model import Host, Report
from maintenancebot.plan.document import Plan
from maintenancebot.settings import DRIFT
from maintenancebot.store import Store
from maintenancebot.store.leases import CYCLE

RUN = "run"
"""The command of a cycle."""


def dry_run(
    options: Options,
    *,
    hosts: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    refresh: bool = False,
    progress: Progress,
    stop: threading.Event,
    command: str = "dry-run",
) -> tuple[Report, Plan]:
    """The plan for the fleet; nothing is written, unless `refresh` renews package lists first, which is audited."""
    context = load(options)
    selected = select(context, hosts, groups, tasks)
    started = now()
    with ExitStack() as stack:
        store = stack.enter_context(context.store() if refresh else context.store_readonly())
        selected = drift.informed(selected, store, started)
        connections = stack.enter_context(context.connections())
        work = context.work(new_run_id(started), connections, progress, stop, store)
        holding = Holding(store, work) if refresh else None
        if holding:
            stack.enter_context(holding.cycle())  # it renews lists and settles what was unfinished: never beside a run
        # What a run is at right now is not unfinished.
        alone = refresh or store.leases.holder(CYCLE, at=started) is None
        judged, notes = _look_and_judge(selected, work, store, holding, settle=alone)
        notes += [*cycle.order(selected, judged, work, fleet=context.inventory.hosts), *guards.stop_notes(store)]
    told = report(command, work, started, cycle.host_reports(selected, judged), notes, context.inventory)
    return drift.with_fleet(told, selected), judged.seen.plan


def run(
    options: Options,
    *,
    hosts: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    tasks: tuple[str, ...] = (),
    plan_file: Path | None = None,
    progress: Progress,
    stop: threading.Event,
    command: str = RUN,
) -> Report:
    """The cycle now, or exactly the plan of a file; one run at a time on a state directory."""
    context = load(options)
    select(context, hosts, groups, tasks)  # a name that is not there ends it before any state is made
    plan = from_plan_file(plan_file, context.settings, now()) if plan_file else None
    with context.store() as store:
        told = run_in(
            context,
            store,
            hosts=hosts,
            groups=groups,
            tasks=tasks,
            plan=plan,
            progress=progress,
            stop=stop,
            command=command,
        )
        with suppress(StoreError):
            messages.deliver(context, store)
        return told


def run_in(
    context: Context,
    store: Store,
    *,
    hosts: Sequence[str] = (),
    groups: Sequence[str] = (),
    tasks: Sequence[str] = (),
    plan: Plan | None = None,
    progress: Progress,
    stop: threading.Event,
    run_id: str = "",
    command: str = RUN,
) -> Report:
    """The cycle on an open store, under this id or a new one; raises BusyError while another run is at work."""
    started = now()
    selected = drift.informed(select(context, hosts, groups, tasks), store, started)
    with ExitStack() as stack:
        connections = stack.enter_context(context.connections())
        work = context.work(run_id or new_run_id(started), connections, progress, stop, store)
        holding = Holding(store, work)
        stack.enter_context(holding.cycle())
        store.runs.start(work.run_id, command, context.settings.digest, at=started)
        if plan is None:
            judged, notes = _look_and_judge(selected, work, store, holding, settle=True)
        else:
            judged, notes = _take_plan(plan, selected, work, store, holding)
        ledger = Ledger(holding, judged.seen.plan.digest, context.settings.guards)
        brakes = Brakes(work, ledger, expires_at=judged.seen.plan.expires_at)
        notes += guards.ask_for_approval(store, judged, work, tells=True)
        judged = cycle.make(selected, judged, work, ledger, brakes, fleet=context.inventory.hosts)
        with suppress(StoreError):  # the end of the run says so
            guards.notify(store, selected, judged, work)
        reports = cycle.host_reports(selected, judged)
        with suppress(StoreError):
            contested.tell(reports, work.run_id, store, now())
        notes += [*quiet.notes(reports, store, now()), *guards.stop_notes(store)]
        sources.remember(context.inventory, store, now())
        told = report(command, work, started, reports, notes, context.inventory)
        return finish(drift.with_fleet(told, selected), judged, work, store)


def _take_plan(
    plan: Plan, selected: Sequence[Selected], work: Work, store: Store, holding: Holding
) -> tuple[Judged, list[str]]:
    """The gate's word on a plan of a file; hosts with unfinished changes are asked for these first."""
    missing = {host.host for host in plan.hosts} - {item.host.name for item in selected}
    if missing:
        raise UsageError(f"the plan is for {min(missing)!r}, which is not in the inventory")
    given = cycle.given(plan, selected)
    recalled, notes = _recall([item.host for item in selected], store, holding)
    given = cycle.with_recalled(given, recalled)
    return cycle.judge(selected, given, work, guards.read(store, selected, plan, work)), notes


def settle_in(context: Context, store: Store, *, progress: Progress, stop: threading.Event) -> list[str]:
    """Ask the hosts what became of changes whose outcome was never recorded; returns it in words.

    Raises BusyError while a run is at work.
    """
    with context.connections() as connections:
        work = context.work(new_run_id(now()), connections, progress, stop, store)
        holding = Holding(store, work)
        with holding.cycle():
            return _recall(context.inventory.hosts, store, holding)[1]


def _recall(hosts: Sequence[Host], store: Store, holding: Holding) -> tuple[Seen, list[str]]:
    """Look at the hosts that have unfinished changes, at nothing but these, and record what was found of them."""
    work = holding.work
    open_intents = reconcile.unfinished(store, [host.name for host in hosts], work.now())
    recalled = cycle.look(
        [Selected(host, ()) for host in hosts if host.name in open_intents],
        work,
        configuration=work.settings.digest,
        refresh=guards.RefreshBook(store, work, wanted=False),
        machine_ids={},
        unfinished=reconcile.changes(open_intents),
        holding=holding,
    )
    return recalled, reconcile.settle(store, open_intents, recalled, work)


def select(context: Context, hosts: Sequence[str], groups: Sequence[str], tasks: Sequence[str]) -> tuple[Selected, ...]:
    """The hosts of this command, each with its tasks; raises UsageError for a name that is not there."""
    known = [task.name for task in context.settings.tasks]
    known += [DRIFT] if context.settings.baselines.files else []
    unknown = [name for name in tasks if name not in known]
    if unknown[:1] == [DRIFT]:
        raise UsageError(f"nothing is declared: no baseline lies in {context.settings.remediation.drift.baselines!r}")
    if unknown:
        raise UsageError(f"no task is named {unknown[0]!r}; there are: {', '.join(known)}")
    chosen = chosen_hosts(context.inventory, hosts, groups)
    wanted = [task for task in context.settings.tasks if not tasks or task.name in tasks]
    per_task = {task.name: {host.name for host in context.inventory.select(task.hosts)} for task in wanted}
    compared = drift.tasks(context, chosen) if not tasks or DRIFT in tasks else {}
    return tuple(
        Selected(
            host, (*(t for t in wanted if host.name in per_task[t.name]), *filter(None, [compared.get(host.name)]))
        )
        for host in chosen
    )


def _look_and_judge(
    selected: Sequence[Selected], work: Work, store: Store, holding: Holding | None, *, settle: bool
) -> tuple[Judged, list[str]]:
    """With `holding` the package lists are renewed too."""
    names = [item.host.name for item in selected]
    open_intents = reconcile.unfinished(store, names, work.now()) if settle else {}
    seen = cycle.look(
        selected,
        work,
        configuration=work.settings.digest,
        refresh=guards.RefreshBook(store, work, wanted=holding is not None),
        machine_ids=guards.machine_ids(store, names),
        unfinished=reconcile.changes(open_intents),
        holding=holding,
    )
    notes = reconcile.settle(store, open_intents, seen, work)
    return cycle.judge(selected, seen, work, guards.read(store, selected, seen.plan, work)), notes
