"""Alerts, episodes and messages outlive a process, and each thing is there once."""

import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from maintenancebot.errors import StoreError
from maintenancebot.model import Reason, State
from maintenancebot.plan.document import change_to_json
from maintenancebot.policy.episodes import Alert, Episode, EpisodeState, Verdict, moved
from maintenancebot.store import Store
from maintenancebot.store.deliveries import DeliveryState
from maintenancebot.store.episodes import Telling
from maintenancebot.store.tables import intents
from tests.unit.alerts import received
from tests.unit.store.examples import NOON, ODD, later, step


def opened(number: int = 1, host: str = "web-1") -> Episode:
    return Episode(f"e{number}", "disk", host, ODD, NOON, NOON)


def take(store: Store, *verdicts: Verdict, telling: Telling | None = None) -> list[Verdict]:
    return store.episodes.take_up(
        10, lambda alerts, history: verdicts, lambda one: telling, since=NOON - timedelta(days=1), at=NOON
    )


def test_the_same_alert_again_is_only_counted(store: Store) -> None:
    alert = received(NOON, host="web-1", mountpoint=ODD)
    store.alerts.receive([alert] * 3)
    store.alerts.receive([received(later(seconds=5), host="web-1", mountpoint=ODD)])
    (found,) = store.alerts.unsettled(10)
    assert (found.received_at, found.last_at) == (NOON, later(seconds=5))
    assert found.labels == {"host": "web-1", "mountpoint": ODD}
    with store._database.read() as connection:
        assert connection.exec_driver_sql("SELECT times FROM alerts").scalars().all() == [4]


def test_many_alerts_are_stored_together(store: Store) -> None:
    store.alerts.receive([received(NOON, f"k{number}") for number in range(1200)])
    store.alerts.receive([received(NOON, f"k{number}") for number in range(1300)])
    assert len(store.alerts.unsettled(5000)) == 1300
    store.alerts.receive([])


def test_what_is_settled_stays_settled_whoever_sends_it_again(state: Path) -> None:
    with Store.open(state, create=True) as store:
        store.alerts.receive([received(NOON)])
        (alert,) = store.alerts.unsettled(10)
        take(store, Verdict(alert.id, Reason.NO_RULE))
    with Store.open(state, create=False) as store:
        store.alerts.receive([received(later(hours=1))])
        assert store.alerts.unsettled(10) == []


def test_what_was_laid_aside_as_resolved_and_fires_again_is_taken_up(store: Store) -> None:
    store.alerts.receive([received(NOON, status="resolved")])
    (alert,) = store.alerts.unsettled(10)
    assert alert.status == "resolved"
    take(store, Verdict(alert.id, Reason.RESOLVED))
    store.alerts.receive([received(NOON, status="resolved")])
    assert store.alerts.unsettled(10) == []
    store.alerts.receive([received(NOON)])
    assert [one.status for one in store.alerts.unsettled(10)] == ["firing"]


@pytest.mark.parametrize("reason", [Reason.COOLDOWN, Reason.STALE, Reason.MAINTENANCE, Reason.CAP_REACHED])
def test_what_was_laid_aside_for_a_while_is_looked_at_again_when_it_still_fires(store: Store, reason: Reason) -> None:
    store.alerts.receive([received(NOON)])
    (alert,) = store.alerts.unsettled(10)
    take(store, Verdict(alert.id, reason))
    store.alerts.receive([received(NOON)])
    assert store.alerts.unsettled(10) == []  # a copy of the storm
    store.alerts.receive([received(later(hours=1), status="resolved")])
    assert store.alerts.unsettled(10) == []
    store.alerts.receive([received(later(hours=2))])
    assert len(store.alerts.unsettled(10)) == 1


@pytest.mark.parametrize(("end", "again"), [(EpisodeState.ESCALATED, 0), (EpisodeState.CLOSED, 1)])
def test_what_a_person_was_told_of_is_not_tried_again_for_the_same_alert(
    store: Store, end: EpisodeState, again: int
) -> None:
    store.alerts.receive([received(NOON, "k1"), received(NOON, "k2")])
    first, second = store.alerts.unsettled(10)
    episode = replace(opened(), state=end, closed_at=NOON)
    take(store, Verdict(first.id, Reason.NONE, episode=episode.id, opens=episode))
    take(store, Verdict(second.id, Reason.COOLDOWN, episode=episode.id))
    store.alerts.receive([received(later(hours=2), "k1"), received(later(hours=2), "k2")])
    assert len(store.alerts.unsettled(10)) == again


def test_critical_alerts_of_a_host_count_while_they_are_heard(store: Store) -> None:
    rows = [
        received(NOON, "k1", name="Down", severity="critical"),
        received(NOON, "k2", name="Slow", severity="warning"),
        received(NOON, "k3", name="Gone", severity="critical", status="resolved"),
        received(NOON, "k4", name="Elsewhere", severity="critical"),
        received(NOON, "k5", name="MaintenancebotOverdue", severity="critical"),
    ]
    store.alerts.receive(rows)
    alerts = store.alerts.unsettled(10)
    hosts = ["web-1", "web-1", "web-1", "web-2", "web-1"]
    take(store, *(Verdict(one.id, Reason.NO_RULE, host=host) for one, host in zip(alerts, hosts, strict=True)))
    assert store.alerts.critical("web-1", at=later(hours=1)) == ["Down"]
    assert store.alerts.critical("web-1", at=later(hours=13)) == []
    store.alerts.receive([received(later(hours=1), "k1", name="Down", severity="critical", status="resolved")])
    assert store.alerts.critical("web-1", at=later(hours=1)) == []


def test_old_alerts_are_forgotten_and_unsettled_ones_never(store: Store) -> None:
    store.alerts.receive([received(NOON, "k1"), received(NOON, "k2")])
    first, _ = store.alerts.unsettled(10)
    take(store, Verdict(first.id, Reason.NO_RULE))
    store.alerts.forget(later(seconds=-1))
    store.alerts.forget(later(days=1))
    with store._database.read() as connection:
        assert connection.exec_driver_sql("SELECT key FROM alerts").scalars().all() == ["k2k2k2k2"]


def test_an_episode_is_opened_with_its_alert_or_not_at_all(store: Store) -> None:
    store.alerts.receive([received(NOON)])
    (alert,) = store.alerts.unsettled(10)

    def broken(one: Episode) -> Telling:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.episodes.take_up(
            10,
            lambda alerts, history: [Verdict(alert.id, Reason.NONE, episode="e1", opens=opened())],
            broken,
            since=NOON,
            at=NOON,
        )
    assert (len(store.alerts.unsettled(10)), store.episodes.latest()) == (1, [])
    take(store, Verdict(alert.id, Reason.NONE, host="web-1", episode="e1", opens=opened()))
    assert (store.alerts.unsettled(10), store.episodes.open()) == ([], [opened()])
    assert store.audit.verify().ok


def test_two_processes_that_take_up_at_once_open_one_episode(state: Path) -> None:
    with Store.open(state, create=True) as one, Store.open(state, create=False) as two:
        one.alerts.receive([received(NOON, f"k{number}") for number in range(40)])

        def judge(alerts: list[Alert], history: list[Episode]) -> list[Verdict]:
            (alert,) = alerts
            if history:
                return [Verdict(alert.id, Reason.SAME_EPISODE, episode=history[0].id)]
            return [Verdict(alert.id, Reason.NONE, episode="e", opens=opened(alert.id))]

        def all_of(store: Store) -> None:
            while store.episodes.take_up(1, judge, lambda one: None, since=NOON, at=NOON):  # type: ignore[arg-type]
                pass

        threads = [threading.Thread(target=all_of, args=(store,)) for store in (one, two)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(one.episodes.latest()), one.alerts.unsettled(10)) == (1, [])


def test_a_step_is_there_after_a_restart_and_an_end_is_final(state: Path) -> None:
    with Store.open(state, create=True) as store:
        store.alerts.receive([received(NOON)])
        take(store, Verdict(store.alerts.unsettled(1)[0].id, Reason.NONE, episode="e1", opens=opened()))
        measured = moved(opened(), EpisodeState.MEASURED, later(seconds=1), before={"percent": 95})
        store.episodes.move(measured)
    with Store.open(state, create=False) as store:
        assert store.episodes.get("e1") == measured
        over = moved(measured, EpisodeState.CLOSED, later(seconds=2), Reason.OBSERVED)
        store.episodes.move(over, Telling("e1:told", "escalated", {"name": ODD}))
        with pytest.raises(StoreError, match="episode e1 is over"):
            store.episodes.move(measured)
        assert (store.episodes.get("e1"), store.episodes.open()) == (over, [])
        with pytest.raises(StoreError, match="there is no episode e2"):
            store.episodes.get("e2")
        assert [message.body for message in store.messages.waiting(10)] == [{"name": ODD}]


def test_what_runs_touched_is_what_was_begun_or_may_have_been(store: Store) -> None:
    rows = [("a", None, None), ("b", State.DONE, NOON), ("c", State.SKIPPED, NOON), ("d", State.UNKNOWN, NOON)]
    one = step("web-1", 1)
    with store._database.write() as connection:
        for seq, (change, state, closed) in enumerate(rows, 1):
            values = {
                "seq": seq, "run": "r1" if change != "d" else "r2", "host": "web-1", "step": "s", "change_id": change,
                "change": change_to_json(one.changes[0]), "plan_digest": "p", "recorded_at": NOON, "machine_id": "m",
                "closed_at": closed, "state": state.value if state else None,
            }  # fmt: skip
            connection.execute(insert(intents), values)
    assert store.episodes.touched(["r1"]) == {"a", "b"}
    assert store.episodes.touched(["r1", "r2"]) == {"a", "b", "d"}
    assert store.episodes.touched([]) == set()


def test_a_message_is_kept_until_it_was_sent_and_each_key_once(state: Path) -> None:
    with Store.open(state, create=True) as store:
        store.messages.put("k", "escalated", {"name": ODD}, at=NOON)
        store.messages.put("k", "escalated", {"name": "another"}, at=NOON)
    with Store.open(state, create=False) as store:
        (message,) = store.messages.waiting(10)
        assert (message.body, message.kind) == ({"name": ODD}, "escalated")
        found = store.deliveries.claim("log", at=NOON)
        assert found is not None
        store.deliveries.settle(found, DeliveryState.SENT, at=NOON)
        store.messages.close(["log"], NOON)
        store.messages.put("k", "escalated", {}, at=later(minutes=7))
        assert store.messages.waiting(10) == []
        assert [one.id for one in store.messages.latest("escalated")] == [message.id]
