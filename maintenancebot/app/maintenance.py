"""The weekly cycle: the plan for the fleet, and a run of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from maintenancebot.app.context import Context, Options, chosen_hosts, load, new_run_id, now
from maintenancebot.app.ending import finish, report
from maintenancebot.engine import cycle, guards, quiet, reconcile
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged, Selected
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.planned import from_plan_file
from maintenancebot.engine.progress import Progress
from maintenancebot.engine.work import Work
from maintenancebot.errors import UsageError
from maintenancebot.model import Report
from maintenancebot.plan.document import Plan
from maintenancebot.store import Store
from maintenancebot.store.run_lock import RunLock


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
        work = context.work(new_run_id(started), connections, progress, stop, store)
        alone = refresh or not lock.is_held()  # what a run is at right now is not unfinished
        judged, notes = _look_and_judge(selected, work, store, refresh=refresh, settle=alone)
        notes += cycle.order(selected, judged, work, fleet=context.inventory.hosts)
    told = report("dry-run", work, started, cycle.host_reports(selected, judged), notes)
    return told, judged.seen.plan


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
        work = context.work(new_run_id(started), connections, progress, stop, store)
        store.runs.start(work.run_id, "run", context.settings.digest, at=started)
        if plan is None:
            judged, notes = _look_and_judge(selected, work, store, refresh=True, settle=True)
        else:
            judged, notes = _take_plan(plan, selected, work, store)
        ledger = Ledger(store, work.run_id, judged.seen.plan.digest, now)
        left = guards.actions_left(store, work, now())
        brakes = Brakes(work, ledger, expires_at=judged.seen.plan.expires_at, budget=left)
        notes += guards.ask_for_approval(store, judged, work)
        judged = cycle.make(selected, judged, work, ledger, brakes, fleet=context.inventory.hosts)
        reports = cycle.host_reports(selected, judged)
        notes += quiet.notes(reports, store, now())
        told = report("run", work, started, reports, notes)
        return finish(told, judged, work, store)


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
