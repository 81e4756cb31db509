"""Machines, breakers and sightings: what a run leaves for the next one."""

from dataclasses import dataclass
from datetime import timedelta

from maintenancebot.policy.breakers import BreakerState
from maintenancebot.store import Sighting, Store
from tests.unit.store.examples import NOON, ODD, later


@dataclass(frozen=True)
class Rules:
    breaker_failures: int = 2
    breaker_reset_minutes: int = 60


def test_a_host_that_was_never_seen_has_no_machine(store: Store) -> None:
    assert store.machines.known("web-1") == ""


def test_a_machine_is_remembered_until_it_is_forgotten(store: Store) -> None:
    store.machines.remember("web-1", "m1", "10.0.0.1", at=NOON)
    assert (store.machines.known("web-1"), store.machines.known("web-2")) == ("m1", "")
    store.machines.forget("web-1", at=NOON)
    assert store.machines.known("web-1") == ""


def test_a_first_another_and_a_forgotten_machine_stand_in_the_audit_log_but_not_the_same_again(store: Store) -> None:
    for machine_id in ("m1", "m1", "m1", "m2"):
        store.machines.remember("web-1", machine_id, "10.0.0.1", at=NOON)
    store.machines.forget("web-1", at=NOON)
    store.machines.forget("web-1", at=NOON)
    assert store.audit.verify().rows == 3


def test_a_breaker_counts_over_restarts_and_its_turns_are_audited(store: Store) -> None:
    assert store.breakers.get("web-1").state(NOON) is BreakerState.CLOSED
    store.breakers.count("web-1", failed=True, rules=Rules(), at=NOON)
    assert store.audit.verify().rows == 0
    store.breakers.count("web-1", failed=True, rules=Rules(), at=NOON)
    breaker = store.breakers.get("web-1")
    assert (breaker.failures, breaker.open_until) == (2, NOON + timedelta(hours=1))
    assert store.breakers.get("web-2").state(NOON) is BreakerState.CLOSED
    store.breakers.count("web-1", failed=False, rules=Rules(), at=later(hours=2))
    assert store.breakers.get("web-1").state(later(hours=2)) is BreakerState.CLOSED
    assert store.audit.verify().rows == 2


def test_an_object_is_counted_as_long_as_every_look_sees_it(store: Store) -> None:
    store.sightings.see("web-1", "volume", ["a", ODD], at=NOON)
    store.sightings.see("web-1", "volume", ["a"], at=later(days=1))
    seen = store.sightings.see("web-1", "volume", ["a", ODD], at=later(days=2))
    assert seen == {"a": Sighting(NOON, later(days=2), 3), ODD: Sighting(later(days=2), later(days=2), 1)}
    assert store.sightings.known("web-1", "volume") == seen


def test_hosts_and_kinds_are_counted_apart(store: Store) -> None:
    for host, kind in (("web-1", "volume"), ("web-1", "image"), ("web-2", "volume")):
        store.sightings.see(host, kind, ["a"], at=NOON)
    store.sightings.see("web-1", "image", [], at=NOON)
    assert store.sightings.known("web-1", "image") == {}
    assert set(store.sightings.known("web-1", "volume")) == set(store.sightings.known("web-2", "volume")) == {"a"}
