"""What is healed on a person's word: the same steps that an alert will take."""

from __future__ import annotations

import threading
from dataclasses import replace

from maintenancebot.app.context import Context, Options, chosen_hosts, load, new_run_id, now
from maintenancebot.app.ending import finish, report
from maintenancebot.engine import asked, cycle, guards, remediation, reporting
from maintenancebot.engine.brakes import Brakes
from maintenancebot.engine.cycle import Judged
from maintenancebot.engine.ledger import Ledger
from maintenancebot.engine.progress import Progress
from maintenancebot.engine.work import Work
from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, HostReport, Report
from maintenancebot.plan.filesystem import Disk
from maintenancebot.policy import gate
from maintenancebot.settings import CleanupTask
from maintenancebot.store import Store
from maintenancebot.store.run_lock import RunLock

DISK = "remediate disk"


def remediate_disk_dry_run(
    options: Options, host: str, mount: str, progress: Progress, stop: threading.Event
) -> Report:
    """What would be done to get a mount below its target; nothing is written anywhere."""
    context = load(options)
    (target,), started = chosen_hosts(context.inventory, (host,)), now()
    with context.store_readonly() as store, context.connections() as connections:
        work = context.work(new_run_id(started), connections, progress, stop, store)
        judged = _judge(target, mount, context, work, store)
    found = _report_of(target, judged)
    hosts = (remediation.expected(found) if found.tasks else found,)
    return report(DISK, work, started, hosts, ("A dry run: nothing was changed.",))


def remediate_disk(options: Options, host: str, mount: str, progress: Progress, stop: threading.Event) -> Report:
    """Get a mount below its target, and say what was measured afterwards."""
    context = load(options)
    (target,), started = chosen_hosts(context.inventory, (host,)), now()
    with RunLock(context.state), context.store() as store, context.connections() as connections:
        work = context.work(new_run_id(started), connections, progress, stop, store)
        store.runs.start(work.run_id, DISK, context.settings.digest, at=started)
        judged = _judge(target, mount, context, work, store)
        notes = guards.ask_for_approval(store, judged, work)
        found = _report_of(target, judged)
        if any(plan.changes for plan in judged.seen.plan.hosts):
            ledger = Ledger(store, work.run_id, judged.seen.plan.digest, now)
            brakes = Brakes(work, ledger, budget=guards.actions_left(store, work, now()))
            judged = remediation.act(judged, work, ledger, brakes)
            found = remediation.verdict(_report_of(target, judged), _measure(target, mount, work))
        return finish(report(DISK, work, started, (found,), notes), judged, work, store)


def _judge(host: Host, mount: str, context: Context, work: Work, store: Store) -> Judged:
    tasks = [
        task
        for task in context.settings.tasks
        if isinstance(task, CleanupTask) and host in context.inventory.select(task.hosts)
    ]
    work.progress.start(1, "probe")
    looked = remediation.diagnose(host, mount, tasks, work)
    work.progress.host(host.name, reporting.state_of_look(looked), looked.detail)
    work.progress.finish()
    seen = asked.seal({host.name: looked}, work)
    read = guards.read(store, asked.selected((host,)), seen.plan, work)
    return asked.judge(seen, work, {name: replace(one, fleet_share=0) for name, one in read.items()}, gate.REMEDIATE)


def _report_of(host: Host, judged: Judged) -> HostReport:
    return cycle.host_reports(asked.selected((host,)), judged)[0]


def _measure(host: Host, mount: str, work: Work) -> Disk | RemoteError:
    try:
        return remediation.measure(host, mount, work)
    except RemoteError as error:
        return error
