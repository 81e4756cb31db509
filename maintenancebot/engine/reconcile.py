"""Takes up what an earlier run intended and never recorded, by looking at the hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from maintenancebot.engine.cycle import Seen
from maintenancebot.engine.holding import Holding
from maintenancebot.engine.work import Work
from maintenancebot.model import Change, Outcome, Reason, State
from maintenancebot.store import Intent, Store
from maintenancebot.store.leases import host_name


def unfinished(
    store: Store, hosts: Sequence[str], at: datetime, holding: Holding | None = None
) -> dict[str, list[Intent]]:
    """Open intents of the given hosts, by host; what somebody else than `holding` is at now is not unfinished."""
    ours = {name for name in hosts if holding is not None and holding.lease(name) is not None}
    at_work = {holder.name for holder in store.leases.all(at=at)} - {host_name(name) for name in ours}
    found: dict[str, list[Intent]] = {}
    for intent in store.intents.unfinished():
        if intent.host in hosts and host_name(intent.host) not in at_work:
            found.setdefault(intent.host, []).append(intent)
    return found


def changes(open_intents: Mapping[str, Sequence[Intent]]) -> dict[str, list[Change]]:
    """What the hosts are asked about."""
    return {host: [intent.change for intent in intents] for host, intents in open_intents.items()}


def settle(store: Store, open_intents: Mapping[str, Sequence[Intent]], seen: Seen, work: Work) -> list[str]:
    """Record what was found of each unfinished change and return it in words; a read-only store records nothing.

    A host that could not be looked at keeps its open intents for the next start; so does a change that is still at
    work, and one that was meant for another machine than the one that answers now.
    """
    notes = []
    for host, intents in open_intents.items():
        looked = seen.looked.get(host)
        recalled = {outcome.change_id: outcome for outcome in looked.recalled} if looked else {}
        found: dict[str, list[Outcome]] = {}
        for intent in intents:
            outcome = recalled.get(intent.change.id)
            if outcome and looked and intent.machine_id and looked.machine_id != intent.machine_id:
                outcome = Outcome(
                    intent.change.id, State.UNKNOWN, Reason.MACHINE_CHANGED, "another machine answers now"
                )
            notes.append(_words(intent, outcome))
            replaced = looked is not None and store.machines.known(host) == looked.machine_id
            if outcome is not None and _is_settled(outcome, replaced=replaced):
                found.setdefault(intent.run_id, []).append(outcome)
        for run_id, outcomes in found.items():
            if not store.read_only:
                store.intents.close(run_id, outcomes, host=host, at=work.now())
    return notes


def _is_settled(outcome: Outcome, *, replaced: bool) -> bool:
    """Work that goes on is not; nor what another machine was meant for, until a person accepted the new one."""
    return outcome.reason is not Reason.BUSY and (outcome.reason is not Reason.MACHINE_CHANGED or replaced)


def _words(intent: Intent, outcome: Outcome | None) -> str:
    what = f"{intent.host}: {intent.change.action} {intent.change.name} of run {intent.run_id} was unfinished"
    if outcome is None:
        return f"{what}; the host could not be asked"
    found = outcome.reason.value if outcome.state in (State.SKIPPED, State.UNKNOWN) else outcome.state.value
    return f"{what}; found: {found}" + (f" ({outcome.detail})" if outcome.detail else "")
