"""Machines and memories: what a run leaves for the next one."""

from maintenancebot.store import Store
from tests.unit.store.examples import NOON, ODD, later


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


def test_rows_are_kept_by_host_and_kind_and_replaced_together(store: Store) -> None:
    store.memories.keep("web-1", "containers:docker", {"a": {"times": 1}, ODD: 2}, at=NOON)
    store.memories.keep("web-1", "backups:nightly", {"a": 3}, at=NOON)
    store.memories.keep("web-2", "containers:docker", {"a": 4}, at=NOON)
    store.memories.keep("web-1", "containers:docker", {"a": {"times": 2}, "b": [1]}, at=later(days=1))
    assert store.memories.read("web-1", "containers:docker") == {"a": {"times": 2}, "b": [1]}
    assert store.memories.read("web-1", "backups:nightly") == {"a": 3}
    assert store.memories.read("web-2", "containers:docker") == {"a": 4}
    store.memories.keep("web-1", "containers:docker", {}, at=later(days=2))
    assert store.memories.read("web-1", "containers:docker") == {}
