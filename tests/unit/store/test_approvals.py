from datetime import timedelta
from pathlib import Path

import pytest

from maintenancebot.errors import PlanError, StoreError, UsageError
from maintenancebot.model import State
from maintenancebot.policy.approvals import ApprovalState
from maintenancebot.store import Store
from tests.unit.store.examples import NOON, RUN, WEEK, done, later, request, step


def change_ids(*numbers: int) -> frozenset[str]:
    return frozenset(step("web-1", number).changes[0].id for number in numbers)


def approve(store: Store, digest: str, by: str = "anna") -> None:
    store.approvals.decide(digest, approve=True, by=by, at=later(hours=1))


def test_nothing_is_approved_before_a_person_says_so(store: Store) -> None:
    request(store, 1, 2)
    assert store.approvals.approved_changes(at=NOON) == frozenset()


def test_an_approval_allows_exactly_the_changes_of_its_plan(store: Store) -> None:
    digest = request(store, 1, 2)
    request(store, 3)
    approve(store, digest[:12])
    assert store.approvals.approved_changes(at=later(hours=2)) == change_ids(1, 2)


def test_a_change_is_used_up_in_the_transaction_of_its_outcome(store: Store) -> None:
    approve(store, request(store, 1, 2))
    store.intents.close(RUN, [done(step("web-1", 1))], host="web-1", at=later(hours=2))
    assert store.approvals.approved_changes(at=later(hours=3)) == change_ids(2)


def test_a_change_that_was_left_alone_keeps_its_approval(store: Store) -> None:
    approve(store, request(store, 1))
    store.intents.close(RUN, [done(step("web-1", 1), State.SKIPPED)], host="web-1", at=later(hours=2))
    assert store.approvals.approved_changes(at=later(hours=3)) == change_ids(1)


def test_used_is_used_in_every_plan_that_lists_the_change(store: Store) -> None:
    first, second = request(store, 1, run="run-1"), request(store, 1, run="run-2")
    approve(store, first)
    store.approvals.use(change_ids(1), at=later(hours=2))
    approve(store, second)
    assert store.approvals.approved_changes(at=later(hours=3)) == frozenset()


def test_an_approval_expires(store: Store) -> None:
    approve(store, request(store, 1))
    assert store.approvals.approved_changes(at=NOON + WEEK - timedelta(seconds=1)) == change_ids(1)
    assert store.approvals.approved_changes(at=NOON + WEEK) == frozenset()


def test_what_was_denied_is_not_allowed_and_cannot_be_approved_any_more(store: Store) -> None:
    digest = request(store, 1)
    denied = store.approvals.decide(digest, approve=False, by="anna", at=NOON)
    assert (denied.state, denied.decided_by) == (ApprovalState.DENIED, "anna")
    with pytest.raises(UsageError, match="it was denied by anna"):
        approve(store, digest, by="bert")
    assert store.approvals.approved_changes(at=NOON) == frozenset()


def test_who_asked_cannot_approve(store: Store) -> None:
    with pytest.raises(UsageError, match="somebody else"):
        approve(store, request(store, 1), by=RUN)


@pytest.mark.parametrize("digest", ["", "0000", "%", "_"])
def test_a_digest_that_fits_nothing_is_refused(store: Store, digest: str) -> None:
    request(store, 1)
    with pytest.raises(UsageError, match="no plan has the digest"):
        approve(store, digest)


def test_a_beginning_that_fits_several_is_refused(store: Store) -> None:
    digests = [request(store, number) for number in range(17)]
    shared = next(first[0] for first in digests for other in digests if first != other and first[0] == other[0])
    with pytest.raises(UsageError, match="several plans begin with"):
        approve(store, shared)


def test_a_plan_whose_digest_does_not_fit_is_not_stored(store: Store) -> None:
    with pytest.raises(PlanError):
        store.approvals.request("f" * 64, {"kind": "something"}, by=RUN, at=NOON, expires_at=NOON + WEEK)
    assert store.approvals.latest() == []


def test_a_plan_that_was_edited_in_the_database_cannot_be_approved(store: Store) -> None:
    digest = request(store, 1)
    with store._database.write() as connection:
        connection.exec_driver_sql("UPDATE approvals SET plan = replace(plan, 'app.log', 'db.log')")
    with pytest.raises(PlanError, match="the plan is damaged"):
        approve(store, digest)


def test_a_plan_that_was_put_in_the_place_of_another_cannot_be_approved(store: Store) -> None:
    shown, other = request(store, 1), request(store, 2)
    with store._database.write() as connection:
        plan = connection.exec_driver_sql("SELECT plan FROM approvals WHERE digest = ?", (other,)).scalar()
        connection.exec_driver_sql("UPDATE approvals SET plan = ? WHERE digest = ?", (plan, shown))
    with pytest.raises(PlanError, match="was exchanged for another one"):
        approve(store, shown)


def test_the_same_plan_is_not_asked_for_twice(store: Store) -> None:
    request(store, 1)
    with pytest.raises(StoreError):
        request(store, 1)


def test_each_step_stands_in_the_audit_log(store: Store) -> None:
    approve(store, request(store, 1))
    assert store.audit.verify().rows == 2


def test_requests_are_listed_with_what_they_are_about(store: Store) -> None:
    digest = request(store, *range(3))
    store.approvals.use(change_ids(1), at=later(hours=1))
    [found] = store.approvals.latest()
    assert (found.digest, found.run_id, found.hosts, found.state) == (digest, RUN, ("web-1",), ApprovalState.PENDING)
    assert {change for change, used in found.changes.items() if used} == change_ids(1)
    assert len(found.changes) == 3


def test_an_approval_is_what_it_was_after_a_restart_at_each_step(state: Path) -> None:
    def by_now(hours: float) -> tuple[ApprovalState, frozenset[str]]:
        with Store.open(state, create=True) as store:
            [found] = store.approvals.latest()
            return found.state_at(later(hours=hours)), store.approvals.approved_changes(at=later(hours=hours))

    with Store.open(state, create=True) as store:
        digest = request(store, 1, 2)
    assert by_now(1) == (ApprovalState.PENDING, frozenset())
    with Store.open(state, create=True) as store:
        approve(store, digest)
    assert by_now(2) == (ApprovalState.APPROVED, change_ids(1, 2))
    for number, left in ((1, change_ids(2)), (2, frozenset[str]())):
        with Store.open(state, create=True) as store:
            store.intents.close(RUN, [done(step("web-1", number))], host="web-1", at=later(hours=3))
        assert by_now(4)[1] == left
    assert by_now(5)[0] is ApprovalState.USED
