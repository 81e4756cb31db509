"""Who needs a person: the verdict of a check stands as loud when it is unknown, and is not hidden by its changes."""

from maintenancebot.model import Action, ChangeReport, Reason, State, TaskReport, TaskType
from maintenancebot.report import people
from tests.unit.report.examples import change, host


def verify(state: State, reason: Reason, *changes: ChangeReport, **facts: object) -> TaskReport:
    return TaskReport("backups", TaskType.VERIFY, state, reason, "shop: too old", changes, facts)


def trial(state: State, reason: Reason) -> ChangeReport:
    return ChangeReport(change("trial restore of shop", Action.TRY_RESTORE), state, reason, "3 of 4 files came back")


def test_what_could_not_be_checked_needs_a_person_as_what_is_bad() -> None:
    for state, reason in ((State.FAILED, Reason.STALE), (State.UNKNOWN, Reason.TIMEOUT)):
        found = people.lines([host("db-1", verify(state, reason))])
        assert len(found) == 1
        assert found[0].startswith(f"db-1, backups: {state.value}: ")


def test_a_verdict_is_told_beside_the_change_that_failed_too() -> None:
    task = verify(
        State.FAILED, Reason.STALE, trial(State.FAILED, Reason.RESTORE_FAILED), verdict_reason=Reason.STALE.value
    )
    found = people.lines([host("db-1", task)])
    assert ["shop: too old" in line for line in found] == [True, False]
    assert "3 of 4 files came back" in found[1]


def test_who_does_not_want_to_be_called_is_not() -> None:
    assert people.lines([host("db-1", verify(State.FAILED, Reason.STALE, alert_on_failure=False))]) == []
    quiet = verify(State.FAILED, Reason.STALE, trial(State.FAILED, Reason.RESTORE_FAILED), alert_on_failure=False)
    assert len(people.lines([host("db-1", quiet)])) == 1
