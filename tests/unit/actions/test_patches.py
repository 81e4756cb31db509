"""All packages of a host are one step, and only the version installed afterwards is success."""

from __future__ import annotations

from typing import Any

import pytest

from maintenancebot.actions import patches
from maintenancebot.helper import main as helper_main
from maintenancebot.model import Action, Change, Outcome, Reason, State, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.settings import Settings

SETTINGS = Settings.model_validate(
    {"tasks": [{"name": "patches", "type": "package_update", "scope": "all", "lock_timeout_seconds": 42}]}
)


def change(name: str) -> Change:
    identity = {"package": name, "architecture": "amd64", "from": "1.0", "to": "1.1"}
    return make_change(
        "web-1", "patches", Action.UPGRADE_PACKAGE, name=f"{name}=1.1", identity=identity, undo=Undo.DOWNGRADE
    )


CHANGES = (change("a"), change("b"))


def answered(**more: Any) -> list[Outcome]:
    (step,) = patches.steps(SETTINGS.tasks[0], SETTINGS, CHANGES[:1])
    raw = {
        "change": CHANGES[0].id,
        "state": "done",
        "reason": "verified",
        "detail": "",
        "measured": {"installed": "1.1"},
    }
    return patches.outcomes(step, [{**raw, **more}])


def test_all_packages_are_one_step_of_the_helper() -> None:
    (step,) = patches.steps(SETTINGS.tasks[0], SETTINGS, CHANGES)

    assert (step.op, step.changes) == ("patches.upgrade", CHANGES)
    health = {"settle_seconds": 20, "http": [], "tcp": [], "ignore_units": []}
    assert step.args == {
        "lock_timeout": 42,
        "rollback": False,
        "never_roll_back": [],
        "health": health,
        "snapshot_hook": "",
    }
    assert step.op in helper_main.STEPS


def test_no_changes_are_no_step() -> None:
    assert patches.steps(SETTINGS.tasks[0], SETTINGS, ()) == []


def test_the_planned_version_installed_is_done() -> None:
    assert answered() == [
        Outcome(CHANGES[0].id, State.DONE, Reason.VERIFIED, "", {"installed": "1.1"}),
    ]


def test_silence_about_a_package_is_unknown() -> None:
    (step,) = patches.steps(SETTINGS.tasks[0], SETTINGS, CHANGES)

    assert [(o.change_id, o.state, o.reason) for o in patches.outcomes(step, [])] == [
        (c.id, State.UNKNOWN, Reason.GARBLED) for c in CHANGES
    ]


@pytest.mark.parametrize("measured", [{"installed": "1.0"}, {}])
def test_an_answer_that_contradicts_itself_is_never_success(measured: dict[str, Any]) -> None:
    (outcome,) = answered(measured=measured)

    assert (outcome.state, outcome.reason) == (State.UNKNOWN, Reason.HELPER_ERROR)


@pytest.mark.parametrize("more", [{"state": "fine"}, {"reason": "why not"}, {"measured": 3}])
def test_an_odd_answer_is_never_success(more: dict[str, Any]) -> None:
    (outcome,) = answered(**more)

    assert (outcome.state, outcome.reason) == (State.UNKNOWN, Reason.GARBLED)


def test_a_failure_keeps_its_reason_and_detail() -> None:
    (outcome,) = answered(state="failed", reason="packages_broken", detail="half-configured")

    assert (outcome.state, outcome.reason, outcome.detail) == (State.FAILED, Reason.PACKAGES_BROKEN, "half-configured")
