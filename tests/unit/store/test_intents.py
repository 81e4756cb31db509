import threading

import pytest

from maintenancebot.errors import StoreError
from maintenancebot.model import Action, Reason, State
from maintenancebot.store import Store
from tests.unit.store.examples import DIGEST, NOON, ODD, RUN, done, later, step, steps


def test_an_intent_is_open_until_its_outcome_is_recorded(store: Store) -> None:
    first, second = steps("web-1", 2)
    store.intents.record(RUN, "web-1", DIGEST, [first, second], at=NOON)
    store.intents.close(RUN, [done(first)], host="web-1", at=later(seconds=1))
    [intent] = store.intents.unfinished()
    assert (intent.run_id, intent.host, intent.step, intent.plan_digest) == (RUN, "web-1", "step-1", DIGEST)
    assert intent.recorded_at == NOON


def test_the_change_of_an_intent_comes_back_as_it_was_whatever_its_name(store: Store) -> None:
    odd = step("web-1", 1, name=ODD)
    store.intents.record(RUN, "web-1", DIGEST, [odd], at=NOON)
    [intent] = store.intents.unfinished()
    assert intent.change == odd.changes[0]


def test_intents_of_one_host_can_be_asked_for(store: Store) -> None:
    for host in ("web-1", "web-2"):
        store.intents.record(RUN, host, DIGEST, steps(host, 1), at=NOON)
    assert [intent.host for intent in store.intents.unfinished("web-2")] == ["web-2"]


def test_the_same_object_in_two_runs_is_two_intents(store: Store) -> None:
    same = step("web-1", 1)
    for run in ("run-1", "run-2"):
        store.intents.record(run, "web-1", DIGEST, [same], at=NOON)
    store.intents.close("run-2", [done(same)], host="web-1", at=NOON)
    assert [intent.run_id for intent in store.intents.unfinished()] == ["run-1"]


def test_intent_and_outcome_stand_in_the_audit_log(store: Store) -> None:
    store.intents.record(RUN, "web-1", DIGEST, steps("web-1", 3), at=NOON)
    assert store.audit.verify().rows == 3
    store.intents.close(RUN, [done(one) for one in steps("web-1", 3)], host="web-1", at=NOON)
    verdict = store.audit.verify()
    assert (verdict.ok, verdict.rows) == (True, 6)


def test_an_intent_that_cannot_be_written_leaves_no_trace(store: Store) -> None:
    # The second change cannot be stored, so the first must not be either.
    with pytest.raises((StoreError, ValueError)):
        store.intents.record(RUN, "web-\udcff", DIGEST, steps("web-1", 2), at=NOON)
    assert store.intents.unfinished() == []
    assert store.audit.verify().rows == 0


def test_a_change_that_was_left_alone_is_closed_with_its_reason(store: Store) -> None:
    [one] = steps("web-1", 1)
    store.intents.record(RUN, "web-1", DIGEST, [one], at=NOON)
    store.intents.close(RUN, [done(one, State.SKIPPED, Reason.STOPPED)], host="web-1", at=NOON)
    assert store.intents.unfinished() == []


def test_many_hosts_at_once_lose_nothing(store: Store) -> None:
    hosts = [f"web-{number}" for number in range(16)]
    for host in hosts:
        store.intents.record(RUN, host, DIGEST, steps(host, 20), at=NOON)

    def work(host: str) -> None:
        for one in steps(host, 20):
            store.intents.close(RUN, [done(one)], host=host, at=NOON)

    threads = [threading.Thread(target=work, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    verdict = store.audit.verify()
    assert store.intents.unfinished() == []
    assert (verdict.ok, verdict.rows) == (True, 2 * 16 * 20)
    assert store.audit.actions_since(NOON) == 16 * 20


def test_what_was_made_is_found_by_kind_host_and_time(store: Store) -> None:
    for host in ("web-1", "web-2", "web-3"):
        store.intents.record(RUN, host, DIGEST, steps(host, 3), at=NOON)
    for number, (state, hours) in enumerate([(State.DONE, 1), (State.FAILED, 2), (State.DONE, 3)]):
        for host in ("web-1", "web-3"):
            store.intents.close(RUN, [done(step(host, number), state)], host=host, at=later(hours=hours))
    quarantined = [Action.QUARANTINE_FILE, Action.UPGRADE_PACKAGE]
    made = store.intents.made(["web-1", "web-2"], quarantined, since=NOON)
    assert {host: [(one.run_id, one.at, one.change.object["inode"]) for one in all] for host, all in made.items()} == {
        "web-1": [(RUN, later(hours=1), 0), (RUN, later(hours=3), 2)]
    }
    assert len(store.intents.made(["web-1"], quarantined, since=later(hours=2))["web-1"]) == 1
    assert store.intents.made(["web-1"], [Action.UPGRADE_PACKAGE], since=NOON) == {}


def test_a_name_that_reads_like_a_kind_is_not_taken_for_one(store: Store) -> None:
    sly = step("web-1", 1, name='/x","action":"upgrade_package')
    store.intents.record(RUN, "web-1", DIGEST, [sly], at=NOON)
    store.intents.close(RUN, [done(sly)], host="web-1", at=NOON)
    assert store.intents.made(["web-1"], [Action.UPGRADE_PACKAGE], since=NOON) == {}
