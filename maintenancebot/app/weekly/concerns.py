"""What needs a person beside the tasks of hosts: runs and slots, alerts, lost messages, what holds the bot up now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from maintenancebot.app.weekly.figures import why_reboot
from maintenancebot.app.weekly.looks import Looks
from maintenancebot.app.weekly.records import Records
from maintenancebot.inventory import Inventory
from maintenancebot.model import Reason, State
from maintenancebot.policy.breakers import BreakerState
from maintenancebot.policy.episodes import Episode, EpisodeState
from maintenancebot.report.week import Line
from maintenancebot.store import Run, Store
from maintenancebot.store.deliveries import DeliveryState, Undelivered
from maintenancebot.store.leases import Holder, host_name

MOST_SIGNALS = 3

_ENDS = {
    DeliveryState.GIVEN_UP: (State.FAILED, "given up"),
    DeliveryState.LOST: (State.UNKNOWN, "that may not have arrived"),
}


def of_records(records: Records, at_work: Sequence[Holder]) -> Iterable[Line]:
    """Runs without an end, slots without a run, alerts that were given to a person, messages that are not there."""
    yield from _unfinished(records, at_work)
    yield from _slots(records)
    yield from _episodes(records.episodes)
    yield from _messages(records.undelivered)


def of_reboots(looks: Mapping[str, Looks]) -> Iterable[Line]:
    """Hosts that need a reboot which no run made."""
    for host, known in looks.items():
        why = [one for task in known.reports for one in why_reboot(task)]
        if why:
            yield Line(
                host=host,
                subject="reboot",
                state=State.WAITING,
                reason=Reason.NONE,
                detail=f"it needs one: {', '.join(why[:MOST_SIGNALS])}",
                action="reboot it; `reboot: when_required` of its task lets runs do so",
            )


def of_now(store: Store, inventory: Inventory, now: datetime, at_work: Sequence[Holder]) -> Iterable[Line]:
    """What holds at this moment, whatever week it began in."""
    yield from _guards(store, now)
    yield from _open_changes(store, at_work)
    yield from _waiting(store, now)
    if inventory.incomplete:
        said = "; ".join(inventory.notes)
        yield Line("", "inventory", State.UNKNOWN, Reason.INVENTORY_STALE, f"hosts of a source are not known: {said}")


def _guards(store: Store, now: datetime) -> Iterable[Line]:
    """What keeps the bot from making changes."""
    if stopped := store.guard.stopped():
        said = f"by {stopped.by}: {stopped.reason}" if stopped.reason else f"by {stopped.by}"
        yield Line("", "kill switch", State.SKIPPED, Reason.STOPPED, said, since=stopped.at)
    for key, breaker in store.breakers.all().items():
        if breaker.state(now) is not BreakerState.CLOSED:
            subject = f"circuit breaker {key.scope} {key.name}"
            yield Line("", subject, State.SKIPPED, Reason.BREAKER_OPEN, f"{breaker.failures} failures")


def _waiting(store: Store, now: datetime) -> Iterable[Line]:
    """Plans and alerts that wait for a person's word."""
    for approval in store.approvals.pending(at=now):
        until = f"{approval.expires_at:%a %Y-%m-%d %H:%M %Z}"
        said = f"{len(approval.changes):,} changes on {', '.join(approval.hosts)}, until {until}"
        subject = f"plan {approval.digest[:12]}"
        yield Line("", subject, State.WAITING, Reason.NEEDS_APPROVAL, said, since=approval.requested_at)
    for episode in store.episodes.open():
        if episode.is_waiting:
            subject = f"{episode.rule} {episode.subject}"
            yield Line(episode.host, subject, State.WAITING, episode.reason, episode.detail, since=episode.opened_at)


def _unfinished(records: Records, at_work: Sequence[Holder]) -> Iterable[Line]:
    """Runs that never told how they ended; one that is at work has a lease, and tells it later."""
    for run in records.runs:
        if run.finished_at is None and not any(one.doing.endswith(f"run {run.id}") for one in at_work):
            yield _of_run(run, Reason.UNFINISHED, "its end was never recorded")
    for run in records.unreadable:
        yield _of_run(run, Reason.UNREADABLE, "its stored report cannot be read by this version")


def _of_run(run: Run, reason: Reason, detail: str) -> Line:
    said = f"begun {run.started_at:%Y-%m-%d %H:%M %Z}, {detail}"
    return Line("", f"{run.command} {run.id}", State.UNKNOWN, reason, said, since=run.started_at)


def _slots(records: Records) -> Iterable[Line]:
    """Slots that no run was made for; of the others, their runs tell."""
    told = {run.id for run in records.runs}
    bad = (State.FAILED, State.UNKNOWN, State.SKIPPED)
    for slot in records.slots:
        if slot.state in bad and slot.run not in told:
            at = datetime.fromtimestamp(slot.slot, UTC)
            why = slot.reason or Reason.NONE
            subject = f"{'missed ' if why is Reason.MISSED else ''}slot {slot.schedule}"
            detail = f"{at:%a %Y-%m-%d %H:%M %Z}" + (f", {slot.detail}" if slot.detail else "")
            yield Line("", subject, slot.state or State.UNKNOWN, why, detail, since=at)


def _episodes(episodes: Iterable[Episode]) -> Iterable[Line]:
    """The last alert of each thing, where it was given to a person."""
    last = {(episode.host, episode.rule, episode.subject): episode for episode in episodes}
    for episode in last.values():
        if episode.state is EpisodeState.ESCALATED:
            yield Line(
                host=episode.host,
                subject=f"{episode.rule} {episode.subject}",
                state=State.FAILED,
                reason=episode.reason,
                detail=episode.detail,
                since=episode.opened_at,
                action="see to it: the bot has given it to a person",
            )


def _messages(undelivered: Iterable[Undelivered]) -> Iterable[Line]:
    """A line for each target and end: somebody who should know does not, or may not."""
    found: dict[tuple[str, DeliveryState], list[Undelivered]] = {}
    for one in undelivered:
        found.setdefault((one.target, one.state), []).append(one)
    for (target, end), same in found.items():
        state, what = _ENDS[end]
        why = f", {same[-1].detail}" if same[-1].detail else ""
        detail = f"{len(same):,} {what}, first {same[0].key}{why}"
        action = "read what they said in the daemon's log, and see why the target did not take them"
        yield Line("", f"messages to {target}", state, Reason.NONE, detail, since=same[0].at, action=action)


def _open_changes(store: Store, at_work: Sequence[Holder]) -> Iterable[Line]:
    """Changes without an outcome; what is in hand has none yet."""
    in_hand, found = {one.name for one in at_work}, dict[str, list[str]]()
    for intent in store.intents.unfinished():
        if host_name(intent.host) not in in_hand:
            found.setdefault(intent.host, []).append(intent.change.name)
    for host, names in found.items():
        detail = f"{len(names):,} changes have no recorded outcome, first {names[0]}"
        yield Line(host, "changes", State.UNKNOWN, Reason.UNFINISHED, detail)
