"""Each object is a step of its own, made by the helper on the host."""

from __future__ import annotations

from maintenancebot.actions import containers
from maintenancebot.model import Action, Outcome, Reason, State, TaskType, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.settings import DockerPruneTask, Settings

TASK = DockerPruneTask(name="docker", type=TaskType.DOCKER_PRUNE)
ACTIONS = (Action.REMOVE_CONTAINER, Action.REMOVE_IMAGE, Action.REMOVE_VOLUME, Action.REMOVE_BUILD_CACHE)
CHANGES = [
    make_change("web-1", "docker", action, name=action.value, identity={"id": action.value}, undo=Undo.NONE)
    for action in ACTIONS
]


def test_one_step_for_each_object_with_the_limits_of_deletion() -> None:
    made = containers.steps(TASK, Settings(name="lab", tasks=(TASK,)), CHANGES)
    assert [step.op for step in made] == ["leftovers.remove", "images.remove", "volumes.remove", "leftovers.remove"]
    assert [step.changes for step in made] == [(change,) for change in CHANGES]
    assert made[0].args == {"keep_days": 30, "cap_bytes": Settings(name="lab", tasks=(TASK,)).deletion.caps.bytes}


def test_without_an_answer_nothing_is_known() -> None:
    step = containers.steps(TASK, Settings(name="lab", tasks=(TASK,)), CHANGES[:1])[0]
    (outcome,) = containers.outcomes(step, [])
    assert (outcome.state, outcome.reason) == (State.UNKNOWN, Reason.GARBLED)
    answer = {"change": CHANGES[0].id, "state": "done", "reason": "verified", "measured": {"freed_now": 7}}
    assert containers.outcomes(step, [answer]) == [
        Outcome(CHANGES[0].id, State.DONE, Reason.VERIFIED, measured={"freed_now": 7})
    ]
