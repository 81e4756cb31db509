"""How every command that may change something ends: a report, and its place in the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from maintenancebot.engine import guards, memory, results, samples
from maintenancebot.engine.cycle import Judged
from maintenancebot.engine.work import Work
from maintenancebot.errors import StoreError
from maintenancebot.inventory import Inventory
from maintenancebot.model import HostReport, Reason, Report, State, worst
from maintenancebot.report import document
from maintenancebot.report.totals import totals
from maintenancebot.store import Store


def report(
    command: str,
    work: Work,
    started: datetime,
    hosts: tuple[HostReport, ...],
    notes: Sequence[str],
    inventory: Inventory | None = None,
) -> Report:
    """The report of what was done to these hosts; `inventory` tells of hosts that are missing in it."""
    states = [host.state for host in hosts if host.reason is not Reason.NOT_SELECTED]
    if inventory is not None:
        notes = [*inventory.notes, *notes]
        states += [State.UNKNOWN] * inventory.incomplete
    return Report(
        command=command,
        run_id=work.run_id,
        started_at=started,
        finished_at=work.now(),
        state=worst(states),
        hosts=hosts,
        totals=totals(hosts),
        notes=tuple(notes),
    )


def finish(report: Report, judged: Judged, work: Work, store: Store) -> Report:
    """Store how a run ended; the report is told even when that fails."""
    try:
        guards.learn(store, judged, work)
        for plan in judged.seen.plan.hosts:
            memory.learn(plan, judged.outcomes.get(plan.host, {}), work)
            samples.keep(plan, work)
        results.keep(report, store)
        store.runs.finish(
            work.run_id, report.state, totals(report.hosts), document.report_to_json(report), at=report.finished_at
        )
    except StoreError as error:
        note = f"the end of this run could not be stored: {error}"
        return replace(report, state=worst([report.state, State.UNKNOWN]), notes=(*report.notes, note))
    return report
