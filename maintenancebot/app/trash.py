"""What lies in the trash of the hosts, and how it comes back."""

from __future__ import annotations

from maintenancebot.app.context import Options, chosen_hosts, load, new_run_id, now
from maintenancebot.engine import trash
from maintenancebot.engine.progress import Progress
from maintenancebot.engine.trash import TrashResult as TrashResult
from maintenancebot.model import Outcome
from maintenancebot.store.run_lock import RunLock


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
        run_id = new_run_id(started)
        work = context.work(run_id, connections, Silent())
        found = trash.find(target, item, work)
        store.runs.start(run_id, "trash restore", context.settings.digest, at=started)
        outcome = trash.restore(target, found, to or "", work, store)
        store.runs.finish(run_id, outcome.state, {}, {}, at=now())
    return outcome
