"""Figures come from what was measured."""

from maintenancebot.model import Action, ChangeReport, Reason, State
from maintenancebot.report.totals import OBJECTS, totals
from tests.unit.report.examples import change, cleanup, host, package, patches, planned

NO_OBJECTS = dict.fromkeys(OBJECTS.values(), 0)


def test_a_dry_run_counts_what_would_be_done() -> None:
    assert totals([host("web1", cleanup(planned("/a", 10), planned("/b", 5))), host("web2")]) == {
        "hosts": {"planned": 1, "nothing": 1},
        "tasks": {"planned": 1},
        "changes": {"planned": 2},
        "freed_now": 0,
        "freed_at_purge": 0,
        "would_free_now": 0,
        "would_free_at_purge": 15,
        **NO_OBJECTS,
        "files_to_trash": 2,
    }


def test_a_run_counts_only_what_was_measured_on_changes_that_are_done() -> None:
    expected = {"freed_now": 100, "freed_at_purge": 100}
    done = ChangeReport(change("/a", effect=expected), State.DONE, Reason.VERIFIED, measured={"freed_now": 7})
    unmeasured = ChangeReport(change("/b", effect=expected), State.DONE)
    failed = ChangeReport(change("/c", effect=expected), State.FAILED, measured={"freed_now": 9})
    figures = totals([host("web1", cleanup(done, unmeasured, failed), patches(package("a=1"), package("b=1")))])
    assert (figures["freed_now"], figures["freed_at_purge"], figures["would_free_now"]) == (7, 0, 0)
    assert (figures["files_to_trash"], figures["packages"]) == (2, 2)
    assert figures["changes"] == {"done": 4, "failed": 1}


def test_a_host_that_answers_with_no_number_frees_nothing() -> None:
    lying = ChangeReport(change("/a"), State.DONE, measured={"freed_now": "1e9", "freed_at_purge": True})
    wild = ChangeReport(change("/b"), State.DONE, measured={"freed_now": 10**400, "freed_at_purge": -(2**63)})
    figures = totals([host("web1", cleanup(lying, wild))])
    assert (figures["freed_now"], figures["freed_at_purge"]) == (0, 0)


def test_every_action_counts_as_some_kind_of_object() -> None:
    assert set(OBJECTS) == set(Action)
