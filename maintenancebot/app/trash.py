"""What lies in the trash of the hosts, how it comes back, and how it goes for good."""

from __future__ import annotations

import threading
from contextlib import suppress

from maintenancebot.app import messages
from maintenancebot.app.context import Context, Options, chosen_hosts, load, new_run_id, now
from maintenancebot.app.ending import finish, report
from maintenancebot.engine import asked, cycle, guards, trash
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.progress import Progress
from maintenancebot.engine.trash import TrashResult as TrashResult
from maintenancebot.engine.work import Work
from maintenancebot.errors import StoreError
from maintenancebot.model import Host, Outcome, Report
from maintenancebot.policy import gate
from maintenancebot.report import document
from maintenancebot.store import Store

RESTORE = "trash restore"
PURGE = "trash purge"


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
    with context.store() as store, context.connections() as connections:
        run_id = new_run_id(started)
        work = context.work(run_id, connections, Silent())
        found = trash.find(target, item, work)
        store.runs.start(run_id, RESTORE, context.settings.digest, at=started)
        outcome = trash.restore(target, found, to or "", work, store)
        told = report(RESTORE, work, started, (trash.restored(target, found, to or "", outcome),), ())
        store.runs.finish(run_id, told.state, told.totals, document.report_to_json(told), at=told.finished_at)
    return outcome


def trash_purge_dry_run(
    options: Options, hosts: tuple[str, ...], items: tuple[str, ...], progress: Progress, stop: threading.Event
) -> Report:
    """What a purge would delete; nothing is written anywhere."""
    context = load(options)
    chosen, started = chosen_hosts(context.inventory, hosts), now()
    with context.store_readonly() as store, context.connections() as connections:
        work = context.work(new_run_id(started), connections, progress, stop)
        judged = _judge_purge(chosen, items, work, store)
    return report(PURGE, work, started, cycle.host_reports(asked.selected(chosen), judged), ("A dry run.",))


def trash_purge(
    options: Options, hosts: tuple[str, ...], items: tuple[str, ...], progress: Progress, stop: threading.Event
) -> Report:
    """Delete for good what is past its time, or of that only these items."""
    context = load(options)
    chosen_hosts(context.inventory, hosts)  # a name that is not there ends it before any state is made
    with context.store() as store:
        told = purge_in(context, store, hosts=hosts, items=items, progress=progress, stop=stop)
        with suppress(StoreError):
            messages.deliver(context, store)
        return told


def purge_in(
    context: Context,
    store: Store,
    *,
    hosts: tuple[str, ...] = (),
    items: tuple[str, ...] = (),
    progress: Progress,
    stop: threading.Event,
    run_id: str = "",
) -> Report:
    """A purge on an open store, under this id or a new one; waits for hosts on which other work is done."""
    chosen, started = chosen_hosts(context.inventory, hosts), now()
    with context.connections() as connections:
        work = context.work(run_id or new_run_id(started), connections, progress, stop)
        judged = _judge_purge(chosen, items, work, store)
        store.runs.start(work.run_id, PURGE, context.settings.digest, at=started)
        ledger = Ledger(Holding(store, work), judged.seen.plan.digest, context.settings.guards)
        brakes = Brakes(work, ledger)
        notes = guards.ask_for_approval(store, judged, work, tells=True)
        judged = trash.purge(judged, work, ledger, brakes)
        told = report(PURGE, work, started, cycle.host_reports(asked.selected(chosen), judged), notes)
        return finish(told, judged, work, store)


def _judge_purge(hosts: tuple[Host, ...], items: tuple[str, ...], work: Work, store: Store) -> Judged:
    seen = trash.plan_purge(hosts, items, work)
    return asked.judge(seen, work, guards.read(store, asked.selected(hosts), seen.plan, work), gate.PURGE)
