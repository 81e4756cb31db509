"""Stopped containers and the build cache: always told, removed only where the task says so."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from maintenancebot.model import Action, Finding, Host, HostFacts, Json, Reason, State, TaskType, Undo
from maintenancebot.plan import containers
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask

NOW = 1_800_000_000.0
EARLY = 1_798_761_600.0  # 2027-01-01T00:00:00Z, two weeks before
HOST = Host("web-1", "192.0.2.1")


def stopped(name: str, **more: Json) -> Finding:
    data: dict[str, Json] = {"name": name, "state": "exited", "image": "", "image_id": "", "labels": {}, "size": 7}
    ended = {"finished": "2027-01-01T00:00:00Z", "ended": EARLY, "full_name": f"/{name}", "id": f"id-{name}"}
    return Finding("docker", "stopped", name, {**data, **ended, **more})


def record(name: str, **more: Json) -> Finding:
    moment = "2027-01-01T00:00:00Z"
    data: dict[str, Json] = {"kind": "regular", "size": 9, "in_use": False, "last_used": moment, "idle_since": EARLY}
    return Finding("docker", "cache", name, {**data, "shared": False, "parents": [], **more})


def plan(findings: Sequence[Finding], **more: Json) -> TaskPlan:
    task = DockerPruneTask(name="docker", type=TaskType.DOCKER_PRUNE, **more)
    facts = HostFacts("id", "boot", "web-1", "debian", "12", "6", "3.11", 0, NOW, 0.0)
    known = {"engine": "docker", "store": "classic", "data_root": "/d", "socket": "/s"}
    result = ProbeResult(State.DONE, findings=tuple(findings), facts=known)
    return containers.plan(HOST, task, None, facts, result)  # type: ignore[arg-type]


def test_without_a_word_they_are_only_told_with_the_largest() -> None:
    made = plan([stopped("a"), stopped("b", size=100), record("r"), record("s", in_use=True, size=50)])
    assert (made.state, made.reason, made.changes) == (State.NOTHING, Reason.NOT_CONFIGURED, ())
    assert made.facts["stopped_containers"] == {
        "count": 2,
        "bytes": 107,
        "largest": [{"name": "b", "bytes": 100}, {"name": "a", "bytes": 7}],
    }
    assert made.facts["build_cache"]["bytes"] == 59
    assert made.facts["build_cache"]["unused_bytes"] == 9


def test_a_container_that_the_task_names_goes_by_id_and_says_that_nothing_brings_it_back() -> None:
    (change,) = plan([stopped("job-1"), stopped("db")], stopped_containers=["job-*"]).changes
    assert (change.action, change.name, change.undo) == (Action.REMOVE_CONTAINER, "job-1", Undo.NONE)
    assert change.object["id"] == "id-job-1"
    assert change.object["finished"] == "2027-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"state": "created"}, Reason.KEPT),
        ({"labels": {"maintenancebot.keep": ""}}, Reason.KEPT),
        ({"ended": None}, Reason.AGE_UNKNOWN),
        ({"ended": NOW - 3600}, Reason.TOO_YOUNG),
        ({"ended": NOW + 3600}, Reason.TIME_IMPLAUSIBLE),
    ],
)
def test_a_stopped_container_stays(more: dict[str, Json], reason: Reason) -> None:
    made = plan([stopped("job-1", **more)], stopped_containers=["job-*"])
    assert made.facts["kept"] == {reason.value: 1}
    assert not made.changes


def test_old_unused_records_of_the_build_cache_go_children_before_parents() -> None:
    young = record("young", idle_since=NOW - 3600)
    records = [record("base"), record("top", parents=["mid"]), record("mid", parents=["base"]), young]
    made = plan([*records, record("used", in_use=True)], build_cache=True)
    assert [change.object["id"] for change in made.changes] == ["top", "mid", "base"]
    assert {change.undo for change in made.changes} == {Undo.REFETCH}


def test_a_record_that_an_image_shares_stays_and_counts_as_used() -> None:
    made = plan([record("free"), record("shared", shared=True)], build_cache=True)
    assert [change.object["id"] for change in made.changes] == ["free"]
    assert (made.facts["build_cache"]["bytes"], made.facts["build_cache"]["unused_bytes"]) == (18, 9)


@pytest.mark.parametrize("top", [{"idle_since": NOW - 3600}, {"in_use": True}, {"shared": True}, {"idle_since": None}])
def test_what_a_staying_record_is_built_on_stays_too(top: dict[str, Json]) -> None:
    below = [record("base"), record("mid", parents=["base"]), record("beside", parents=["base"])]
    made = plan([*below, record("top", parents=["mid"], **top)], build_cache=True)
    assert [change.object["id"] for change in made.changes] == ["beside"]
