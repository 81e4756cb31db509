from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from maintenancebot.policy.approvals import Approval, ApprovalState, objection

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ASKED = Approval("d" * 64, "run-1", "bot", NOON, NOON + timedelta(hours=72))


def test_another_person_may_decide_in_time() -> None:
    assert objection(ASKED, by="anna", at=NOON) == ""
    assert objection(ASKED, by="anna", at=NOON + timedelta(hours=71, minutes=59)) == ""


def test_nobody_may_decide_after_its_time() -> None:
    late = objection(ASKED, by="anna", at=NOON + timedelta(hours=72))
    assert late == "it expired at 2026-11-24 12:00 UTC; make the plan anew"


def test_who_asked_and_nobody_at_all_may_not_decide() -> None:
    for by in ("bot", ""):
        assert objection(ASKED, by=by, at=NOON) == "it must be decided by somebody else than who asked for it"


def test_what_was_decided_stays_decided() -> None:
    for state in (ApprovalState.APPROVED, ApprovalState.DENIED):
        decided = replace(ASKED, state=state, decided_by="anna")
        assert objection(decided, by="bert", at=NOON) == f"it was {state} by anna"


def test_the_run_that_asked_may_not_decide_either() -> None:
    assert objection(ASKED, by="run-1", at=NOON) == "it must be decided by somebody else than who asked for it"


@pytest.mark.parametrize(
    ("state", "used", "hours", "told"),
    [
        (ApprovalState.PENDING, [None, None], 71, ApprovalState.PENDING),
        (ApprovalState.PENDING, [None, None], 72, ApprovalState.EXPIRED),
        (ApprovalState.APPROVED, [NOON, None], 71, ApprovalState.APPROVED),
        (ApprovalState.APPROVED, [NOON, None], 72, ApprovalState.EXPIRED),
        (ApprovalState.APPROVED, [NOON, NOON], 72, ApprovalState.USED),
        (ApprovalState.DENIED, [None, None], 72, ApprovalState.DENIED),
    ],
)
def test_what_an_approval_is_worth_by_now(
    state: ApprovalState, used: list[datetime | None], hours: int, told: ApprovalState
) -> None:
    approval = replace(ASKED, state=state, changes=dict(zip("ab", used, strict=True)))
    assert approval.state_at(NOON + timedelta(hours=hours)) is told
