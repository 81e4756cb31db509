"""Each change of a cleanup is a step of its own, with the rules and places that the host needs for it."""

import pytest

from maintenancebot.actions import logs
from maintenancebot.helper.main import STEPS
from maintenancebot.helper.recall import MODULES
from maintenancebot.model import Action, Json, Step, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "tasks": [{"name": "logs", "type": "cleanup", "package_cache": True}],
        "deletion": {
            "allow": ["/var/log"],
            "protect": ["*.key"],
            "keep_days": 20,
            "trash": {"elsewhere": "/srv/trash", "offload": {"bucket": "old-logs", "region": "eu-central-1"}},
        },
    }
)
RULES = {"allow": ["/var/log"], "protect": ["*.key"]}


def step(action: Action, **identity: Json) -> Step:
    change = make_change("web-1", "logs", action, name="x", identity=identity, undo=Undo.NONE)
    (made,) = logs.steps(SETTINGS.tasks[0], SETTINGS, [change])
    return made


@pytest.mark.parametrize("action", logs.OPS)
def test_the_host_knows_every_step_and_can_tell_later_what_became_of_it(action: Action) -> None:
    assert step(action).op in STEPS
    assert action.value in MODULES


@pytest.mark.parametrize("action", [Action.DROP_PACKAGE_CACHE, Action.VACUUM_JOURNAL, Action.ROTATE_LOG])
def test_what_is_no_file_for_the_trash_travels_with_the_rules_alone(action: Action) -> None:
    assert step(action).args == RULES


def test_a_file_goes_where_its_change_says() -> None:
    here, away = step(Action.QUARANTINE_FILE, ino=1), step(Action.QUARANTINE_FILE, ino=1, keep="elsewhere")
    assert {key: here.args[key] for key in ("keep", "keep_days", "elsewhere")} == {
        "keep": "here",
        "keep_days": 20,
        "elsewhere": "/srv/trash",
    }
    assert away.args["keep"] == "elsewhere"
    assert away.args["offload"]["bucket"] == "old-logs"
    assert here.changes[0].id != away.changes[0].id
