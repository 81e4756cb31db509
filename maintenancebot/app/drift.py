"""The declared state of hosts as a task for each, with what explains a difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from maintenancebot.app.context import Context
from maintenancebot.engine.cycle import Selected
from maintenancebot.inventory import declared
from maintenancebot.model import Action, Autonomy, Host, Report
from maintenancebot.plan.contested import REMEMBERED
from maintenancebot.plan.differences import OF_USERS
from maintenancebot.policy.autonomy import autonomy
from maintenancebot.report import drift as fleet_view
from maintenancebot.settings import Allowance, Correction, DriftTask, Item, OwnChange, Settings, Task
from maintenancebot.settings.baselines import State
from maintenancebot.store import Store
from maintenancebot.store.corrections import Corrected
from maintenancebot.store.intents import Made

OWN_DAYS = 90
"""How long a change of ours explains a difference."""

EXPLAINING = (
    Action.UPGRADE_PACKAGE,
    Action.COMPRESS_FILE,
    Action.QUARANTINE_FILE,
    Action.ROTATE_LOG,
    Action.RESTORE_FILE,
    Action.RENEW_CERTIFICATE,
)
"""Changes of ours after which something may be otherwise than declared."""


def tasks(context: Context, hosts: Sequence[Host]) -> dict[str, DriftTask]:
    """The comparison of each host for which something is declared, by its name."""
    states = declared(context.settings, context.inventory, hosts)
    return {
        host.name: _task(host, state, context.settings)
        for host in hosts
        if (state := states.get(host.name)) is not None and (state.items or state.faults)
    }


def _task(host: Host, state: State, settings: Settings) -> DriftTask:
    task = DriftTask((), settings.remediation.drift.approval)
    task = replace(task, approval=autonomy(host, [task], settings))  # who only observes sees drift, not skipped changes
    return replace(task, problem=_problem(state)) if state.faults else replace(task, items=state.items)


def task(context: Context, host: Host, store: Store, at: datetime) -> DriftTask:
    """The comparison of one host, without items where nothing is declared for it; raises StoreError."""
    (item,) = informed([Selected(host, tuple(tasks(context, [host]).values()))], store, at)
    return next((one for one in item.tasks if isinstance(one, DriftTask)), DriftTask((), Autonomy.OBSERVE))


def with_fleet(report: Report, selected: Sequence[Selected]) -> Report:
    """The report with its declared items across the hosts, where any host was compared."""
    items = {one.host.name: [item.id for task in one.tasks for item in _items(task)] for one in selected}
    if not any(items.values()):
        return report
    return replace(report, totals={**report.totals, fleet_view.KEY: fleet_view.fleet(report.hosts, items)})


def _items(task: Task) -> Sequence[Item]:
    return task.items if isinstance(task, DriftTask) else ()


def informed(selected: Sequence[Selected], store: Store, at: datetime) -> tuple[Selected, ...]:
    """The same, where the comparisons know of allowances and of what was changed by us; raises StoreError."""
    names = [item.host.name for item in selected if any(isinstance(task, DriftTask) for task in item.tasks)]
    if not names:
        return tuple(selected)
    allowances: dict[str, list[Allowance]] = {}
    for one in store.allowances.all(at=at):
        allowances.setdefault(one.host, []).append(Allowance(one.item, one.until, one.by, one.reason))
    made = store.intents.made(names, EXPLAINING, since=at - timedelta(days=OWN_DAYS))
    corrected = store.corrections.since(names, at - REMEMBERED)
    return tuple(
        _informed(
            item,
            allowances.get(item.host.name, ()),
            made.get(item.host.name, ()),
            [_correction(one) for one in corrected.get(item.host.name, ())],
        )
        for item in selected
    )


def _informed(
    item: Selected, allowances: Sequence[Allowance], made: Sequence[Made], corrections: Sequence[Correction]
) -> Selected:
    return replace(
        item,
        tasks=tuple(
            replace(task, allowances=tuple(allowances), own=_own(task.items, made), corrections=tuple(corrections))
            if isinstance(task, DriftTask)
            else task
            for task in item.tasks
        ),
    )


def _correction(made: Corrected) -> Correction:
    effect = made.change.effect
    return Correction(made.change.name, made.at, effect["from"], effect["to"], made.held)


def _own(items: Sequence[Item], made: Sequence[Made]) -> tuple[OwnChange, ...]:
    """What may be about one of the items: of a run's thousands of logs hardly any.

    Which file is a user's, his host knows; of what people had put back there is little.
    """
    names = {item.name for item in items}
    of_users = any(item.kind in OF_USERS for item in items)
    return tuple(
        OwnChange(one.change.action.value, one.change.name, one.at, one.run_id)
        for one in made
        if one.change.action is Action.RENEW_CERTIFICATE
        or (of_users and one.change.action is Action.RESTORE_FILE)
        or one.change.name in names
        or one.change.name.partition("=")[0] in names
    )


def _problem(state: State) -> str:
    more = f", and {len(state.faults) - 1} more" if len(state.faults) > 1 else ""
    return f"{state.faults[0]}{more}"
