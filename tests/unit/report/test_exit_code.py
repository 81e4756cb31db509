"""The worst result decides the exit code; what failed beats what was refused."""

from dataclasses import replace

import pytest

from maintenancebot.model import GUARD_REASONS, ChangeReport, Reason, State
from maintenancebot.report.exit_code import exit_code
from tests.unit.report.examples import change, cleanup, host, package, patches, planned, report


def result(state: State, reason: Reason = Reason.NONE) -> ChangeReport:
    return ChangeReport(change("/a"), state, reason)


@pytest.mark.parametrize("state", [State.PLANNED, State.DONE, State.NOTHING, State.SKIPPED])
def test_done_planned_nothing_and_skipped_on_purpose_end_with_0(state: State) -> None:
    assert exit_code(report(host("web1", cleanup(result(state, Reason.IN_USE))))) == 0


def test_an_empty_fleet_ends_with_0() -> None:
    assert exit_code(report()) == 0


@pytest.mark.parametrize("state", [State.FAILED, State.UNKNOWN])
def test_one_failed_or_unknown_change_among_many_ends_with_1(state: State) -> None:
    many = [planned(f"/{number}") for number in range(50)]
    assert exit_code(report(host("web1", cleanup(*many, result(state))), host("web2"))) == 1


def test_an_unreachable_host_ends_with_1() -> None:
    assert exit_code(report(host("web1", state=State.UNKNOWN, reason=Reason.UNREACHABLE))) == 1


def test_a_failed_state_counts_even_where_the_sum_above_it_says_otherwise() -> None:
    hidden = cleanup(result(State.FAILED), state=State.DONE)
    assert exit_code(report(host("web1", hidden, state=State.DONE))) == 1


def test_a_run_that_failed_as_a_whole_ends_with_1() -> None:
    assert exit_code(replace(report(host("web1")), state=State.FAILED)) == 1


@pytest.mark.parametrize("reason", sorted(GUARD_REASONS))
def test_what_a_guard_refused_ends_with_3(reason: Reason) -> None:
    assert exit_code(report(host("web1", cleanup(result(State.SKIPPED, reason))))) == 3


def test_what_waits_for_a_person_ends_with_3() -> None:
    assert exit_code(report(host("web1", cleanup(result(State.WAITING, Reason.NEEDS_APPROVAL))))) == 3


def test_failed_beats_refused() -> None:
    refused = cleanup(result(State.SKIPPED, Reason.STOPPED))
    assert exit_code(report(host("web1", refused, patches(package("a=1", State.FAILED))))) == 1
