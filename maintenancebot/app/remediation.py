"""What is healed on a person's word: the same steps that an alert takes."""

from __future__ import annotations

import threading

from maintenancebot.app import llm
from maintenancebot.app.context import Context, Options, chosen_hosts, load, new_run_id, now
from maintenancebot.app.ending import finish, report
from maintenancebot.engine import episodes, remediation
from maintenancebot.engine.episodes import Order, Untold
from maintenancebot.engine.holding import WORK_WAIT_SECONDS, Holding
from maintenancebot.engine.progress import Progress
from maintenancebot.model import Autonomy, Host, Report
from maintenancebot.settings import CleanupTask

DISK = "remediate disk"


def remediate_disk_dry_run(
    options: Options, host: str, mount: str, progress: Progress, stop: threading.Event
) -> Report:
    """What would be done to get a mount below its target; nothing is written anywhere."""
    context = load(options)
    (target,), started = chosen_hosts(context.inventory, (host,)), now()
    with context.store_readonly() as store, context.connections() as connections:
        work = context.work(new_run_id(started), connections, progress, stop, store)
        judged = episodes.judge(_by_hand(target, mount, context), work, store, Untold())
    found = episodes.report_of(target, judged)
    hosts = (remediation.expected(found) if found.tasks else found,)
    return report(DISK, work, started, hosts, ("A dry run: nothing was changed.",))


def remediate_disk(options: Options, host: str, mount: str, progress: Progress, stop: threading.Event) -> Report:
    """Get a mount below its target, and say what was measured afterwards."""
    context = load(options)
    (target,), started = chosen_hosts(context.inventory, (host,)), now()
    with context.store() as store, context.connections() as connections:
        work = context.work(new_run_id(started), connections, progress, stop, store)
        holding = Holding(store, work)
        with holding.host(target.name, DISK, wait=WORK_WAIT_SECONDS):
            store.runs.start(work.run_id, DISK, context.settings.digest, at=started)
            notes = episodes.settle(target, holding)
            healed = episodes.heal(_by_hand(target, mount, context), holding, Untold(), llm.ranking(context, store))
            told = report(DISK, work, started, (healed.report,), (*notes, *healed.notes))
            return finish(told, healed.judged, work, store)


def cleanup_tasks(context: Context, host: Host) -> list[CleanupTask]:
    """The cleanup tasks that are for a host."""
    return [
        task
        for task in context.settings.tasks
        if isinstance(task, CleanupTask) and host in context.inventory.select(task.hosts)
    ]


def _by_hand(host: Host, mount: str, context: Context) -> Order:
    """Who asks for it by hand has approved it."""
    return Order(host, mount, cleanup_tasks(context, host), Autonomy.AUTO)
