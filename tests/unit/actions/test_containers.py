"""What becomes of an image when the daemon does not simply remove it; a real one is met in tests/integration."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maintenancebot.actions import containers
from maintenancebot.model import Action, Change, Host, Json, Outcome, Reason, State, TaskType, Undo
from maintenancebot.plan.document import make_change
from maintenancebot.remote.local import LocalSession
from maintenancebot.settings import DockerPruneTask
from tests.fakes.daemon import VERSION, Answers, serving

HOST = Host("here", "127.0.0.1", connection="local")
TASK = DockerPruneTask(name="docker", type=TaskType.DOCKER_PRUNE, remove_unused_images=True)
ID, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
DIGESTS = [f"one@sha256:{'d' * 64}", f"two@sha256:{'d' * 64}"]
ABOUT = {"Id": ID, "RepoTags": ["one:1", "two:2"], "RepoDigests": DIGESTS, "Size": 1000}
GONE = (404, {"message": "No such image"})


@pytest.fixture
def path() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mb-") as folder:
        yield str(Path(folder) / "docker.sock")


def change(path: str, **other: Json) -> Change:
    identity = {
        "id": ID,
        "tags": ABOUT["RepoTags"],
        "digests": DIGESTS,
        "size": 1000,
        "data_root": "/d",
        "socket": path,
    }
    return make_change(
        "here", "docker", Action.REMOVE_IMAGE, name="one:1", identity={**identity, **other}, undo=Undo.PULL
    )


def answers(**other: Json) -> Answers:
    """A daemon that removes the image, as far as its answers tell."""
    usual: Answers = {
        "/version": (200, VERSION),
        f"/images/{ID}/json": [(200, ABOUT), GONE],
        "/images/two:2/json": [(200, ABOUT), GONE],
        "/info": (200, {"DockerRootDir": "/d"}),
        "/containers/json": (200, []),
        "/images/json": (200, [{"Id": ID, "ParentId": ""}]),
        "/system/df": [(200, {"LayersSize": 5000}), (200, {"LayersSize": 4200})],
        "DELETE /images/two:2": (200, [{"Untagged": "two:2"}]),
        f"DELETE /images/{ID}": (200, [{"Deleted": ID}]),
        f"POST /images/{ID}/tag": (201, None),
    }
    usual.update(other)
    return {key if key == "/version" else key.replace("/", "/v1.50/", 1): answer for key, answer in usual.items()}


def perform(path: str, made: Change, **other: Json) -> tuple[Outcome, list[str]]:
    """The outcome, and what changed something at the daemon."""
    (step,) = containers.steps(TASK, None, [made])  # type: ignore[arg-type]
    assert step.on_controller
    with serving(path, answers(**other)) as server:
        (outcome,) = containers.perform(step, LocalSession(HOST, 5))
    assert outcome.change_id == made.id
    return outcome, [request.replace("/v1.50", "") for request in server.asked if not request.startswith("GET")]


DELETES = ["DELETE /images/two:2?force=False&noprune=True", f"DELETE /images/{ID}?force=False&noprune=True"]


def test_done_is_what_the_daemon_denies_having_afterwards(path: str) -> None:
    outcome, changed = perform(path, change(path))
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED)
    assert outcome.measured == {"freed_now": 800, "measured_by": containers.MEASURED_BY}
    assert changed == DELETES


def test_an_image_that_is_still_there_is_a_failure(path: str) -> None:
    outcome, _ = perform(path, change(path), **{f"/images/{ID}/json": (200, ABOUT)})
    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.TOOL_FAILED)


def test_what_cannot_be_measured_is_said(path: str) -> None:
    outcome, _ = perform(path, change(path), **{"/system/df": (500, {"message": "busy"})})
    assert outcome.state is State.DONE
    assert "freed_now" not in outcome.measured
    assert str(outcome.measured["measured_by"]).startswith("not measured")


@pytest.mark.parametrize(
    ("different", "detail"),
    [
        ({"tags": ["one:1"]}, "its tags are now: one:1, two:2"),
        ({"digests": []}, f"its digests are now: {', '.join(DIGESTS)}"),
        ({"size": 7}, "it has another size"),
        ({"data_root": "/elsewhere"}, "the daemon has another data root"),
    ],
)
def test_an_image_that_changed_is_left_alone(path: str, different: dict[str, Json], detail: str) -> None:
    outcome, changed = perform(path, change(path, **different))
    assert (outcome.state, outcome.reason, outcome.detail) == (State.SKIPPED, Reason.CHANGED_SINCE, detail)
    assert changed == []


def test_a_tag_that_moves_in_the_last_moment_stays_with_its_new_image(path: str) -> None:
    outcome, changed = perform(path, change(path), **{"/images/two:2/json": (200, {**ABOUT, "Id": OTHER})})
    assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.CHANGED_SINCE)
    assert changed == []


def test_tags_are_put_back_when_the_daemon_refuses_in_the_end(path: str) -> None:
    refusal = (409, {"message": "conflict: image is being used"})
    outcome, changed = perform(path, change(path), **{f"DELETE /images/{ID}": refusal})
    assert (outcome.state, outcome.reason, outcome.detail) == (
        State.SKIPPED,
        Reason.IN_USE,
        "conflict: image is being used",
    )
    assert changed == [*DELETES, f"POST /images/{ID}/tag?tag=2&repo=two&force=0"]


@pytest.mark.parametrize("state", ["running", "exited", "created"])
def test_a_container_that_came_meanwhile_keeps_the_image(path: str, state: str) -> None:
    row = {"Id": "c", "Names": ["/web"], "State": state, "ImageID": ID}
    outcome, changed = perform(path, change(path), **{"/containers/json": (200, [row])})
    assert (outcome.state, outcome.reason, outcome.detail) == (
        State.SKIPPED,
        Reason.IN_USE,
        f"container /web ({state})",
    )
    assert changed == []


def test_a_child_that_came_meanwhile_keeps_the_image(path: str) -> None:
    outcome, changed = perform(path, change(path), **{"/images/json": (200, [{"Id": OTHER, "ParentId": ID}])})
    assert (outcome.state, outcome.reason, changed) == (State.SKIPPED, Reason.IN_USE, [])


def test_what_somebody_else_removed_is_not_our_success(path: str) -> None:
    outcome, changed = perform(path, change(path), **{f"/images/{ID}/json": GONE})
    assert (outcome.state, outcome.reason, outcome.measured) == (State.NOTHING, Reason.ALREADY_GONE, {})
    assert changed == []


def test_a_daemon_in_trouble_leaves_an_unknown(path: str) -> None:
    outcome, _ = perform(path, change(path), **{f"DELETE /images/{ID}": (500, {"message": "disk on fire"})})
    assert (outcome.state, outcome.reason) == (State.UNKNOWN, Reason.TOOL_FAILED)
    assert "disk on fire" in outcome.detail


def test_a_daemon_that_is_gone_leaves_an_unknown(path: str) -> None:
    (step,) = containers.steps(TASK, None, [change(path)])  # type: ignore[arg-type]
    (outcome,) = containers.perform(step, LocalSession(HOST, 5))
    assert (outcome.state, outcome.reason) == (State.UNKNOWN, Reason.NOT_RESPONDING)
