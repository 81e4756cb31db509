"""What is remembered of renewals: tries that failed, and nothing once one went well."""

import pytest

from maintenancebot.actions import certificates
from maintenancebot.model import Action, Outcome, Reason, State, Undo
from maintenancebot.plan.document import make_change

CHANGE = make_change(
    "web-1",
    "t",
    Action.RENEW_CERTIFICATE,
    name="www.example.org",
    identity={"lineage": "www.example.org", "serial": "a1", "served": []},
    undo=Undo.NONE,
)
KNOWN = {"serial": "a1", "tries": [100.0]}
RENEWED = {"tried": True, "serial_before": "a1", "serial_after": "b2"}
STILL = {"tried": True, "serial_before": "a1", "serial_after": "a1"}


def learned(state, reason, known=KNOWN, **measured):
    return certificates.learned(CHANGE, Outcome(CHANGE.id, state, reason, "", measured), known, 200.0)


@pytest.mark.parametrize(
    ("state", "reason", "measured"),
    [
        (State.DONE, Reason.VERIFIED, RENEWED),
        (State.FAILED, Reason.SERVED_DIFFERS, RENEWED),
        (State.FAILED, Reason.CONFIG_INVALID, RENEWED),
        (State.NOTHING, Reason.NOT_DUE, STILL),
    ],
)
def test_what_was_renewed_is_forgotten(state, reason, measured):
    assert learned(state, reason, **measured) is None


@pytest.mark.parametrize(
    ("state", "reason", "measured"),
    [
        (State.FAILED, Reason.RENEWAL_FAILED, STILL),
        (State.FAILED, Reason.RENEWAL_FAILED, {"tried": True, "serial_before": "a1", "serial_after": None}),
        (State.UNKNOWN, Reason.TIMEOUT, STILL),
        (State.UNKNOWN, Reason.GARBLED, {}),
    ],
)
def test_what_was_or_may_have_been_a_try_counts(state, reason, measured):
    assert learned(state, reason, **measured) == {"serial": "a1", "tries": [100.0, 200.0]}
    assert learned(state, reason, None, **measured) == {"serial": "a1", "tries": [200.0]}
    assert learned(state, reason, {"serial": "old", "tries": [1.0]}, **measured)["tries"] == [200.0]


@pytest.mark.parametrize(
    ("state", "reason", "measured"),
    [
        (State.SKIPPED, Reason.BUSY, {}),
        (State.SKIPPED, Reason.CHANGED_SINCE, {"tried": False}),
        (State.FAILED, Reason.CONFIG_INVALID, {"tried": False}),
        (State.FAILED, Reason.RENEWAL_FAILED, {"tried": False}),
    ],
)
def test_what_never_reached_the_authority_is_no_try(state, reason, measured):
    assert learned(state, reason, **measured) == KNOWN
    assert learned(state, reason, None, **measured) is None


def test_only_the_last_tries_are_kept():
    row = {"serial": "a1", "tries": [float(at) for at in range(500)]}
    kept = learned(State.FAILED, Reason.RENEWAL_FAILED, row, **STILL)["tries"]
    assert (len(kept), kept[-1]) == (certificates.MOST_KEPT, 200.0)
