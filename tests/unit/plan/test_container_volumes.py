"""Which volumes go, which stay and why; and what looks add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from maintenancebot.model import Action, Finding, Host, HostFacts, Json, Reason, State, TaskType, Undo
from maintenancebot.plan import containers
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask

NOW = 1_800_000_000.0
HOUR = 3600
HOST = Host("web-1", "192.0.2.1")
NAMELESS = "ab" * 32
OLD: Json = {"is": [f"/v/{NAMELESS}/_data", "then"], "since": NOW - 100 * HOUR, "looks": 3}


def volume(name: str = NAMELESS, **more: Json) -> Finding:
    data: dict[str, Json] = {"driver": "local", "mountpoint": f"/v/{name}/_data", "labels": {}, "options": {}}
    return Finding("docker", "volume", name, {**data, "created": "then", "size": 1000, **more})


def container(**more: Json) -> Finding:
    data: dict[str, Json] = {"name": "db", "state": "exited", "image": "pg:1", "image_id": "x", "labels": {}}
    return Finding("docker", "container", "c1", {**data, "volumes": [], "binds": [], **more})


def named(name: str) -> Finding:
    return Finding("docker", "volume_reference", name, {"source": "/opt/shop/compose.yml"})


def settings(**more: Json) -> DockerPruneTask:
    values: dict[str, Json] = {"remove_dangling_volumes": True, **more}
    return DockerPruneTask(name="docker", type=TaskType.DOCKER_PRUNE, **values)


def result(findings: Sequence[Finding], **facts: Json) -> ProbeResult:
    known = {"engine": "docker", "store": "classic", "data_root": "/d", "socket": "/run/docker.sock"}
    return ProbeResult(State.DONE, findings=tuple(findings), facts={**known, **facts})


def plan(
    findings: Sequence[Finding], rows: Mapping[str, Json] | None = None, *, offset: float = 0.0, **more: Json
) -> TaskPlan:
    task = settings(**{key: more.pop(key) for key in ("volumes", "sightings", "min_age_hours") if key in more})
    facts = HostFacts("id", "boot", "web-1", "debian", "12", "6", "3.11", 0, NOW + offset, offset)
    remembered = {f"volume:{NAMELESS}": OLD} if rows is None else rows
    seen = result(findings, remembered=remembered, **more)
    return containers.plan(HOST, task, None, facts, seen)  # type: ignore[arg-type]


def kept(made: TaskPlan) -> tuple[str, str]:
    assert not made.changes
    (row,) = made.facts["kept_objects"]
    return row["reason"], row["detail"]


def test_a_nameless_volume_that_was_unused_often_and_long_enough_goes_to_the_trash() -> None:
    made = plan([volume(labels={"a": "b"})])
    (change,) = made.changes
    assert (change.action, change.name, change.undo) == (Action.REMOVE_VOLUME, NAMELESS, Undo.TRASH)
    assert change.object == {
        "volume": NAMELESS,
        "mountpoint": f"/v/{NAMELESS}/_data",
        "created": "then",
        "driver": "local",
        "labels": {"a": "b"},
        "size": 1000,
        "data_root": "/d",
        "socket": "/run/docker.sock",
    }


def test_one_with_a_name_goes_only_when_the_task_lists_it() -> None:
    rows = {"volume:cache_1": {**OLD, "is": ["/v/cache_1/_data", "then"]}}
    assert kept(plan([volume("cache_1")], rows)) == ("kept", "it has a name, and task.volumes does not list it")
    assert len(plan([volume("cache_1")], rows, volumes=["cache_*"]).changes) == 1


@pytest.mark.parametrize(
    ("findings", "reason", "detail"),
    [
        ([volume(), container(volumes=[NAMELESS])], Reason.IN_USE, "container db (exited)"),
        ([volume(), container(state="created", volumes=[NAMELESS])], Reason.IN_USE, "container db (created)"),
        ([volume(), container(binds=[f"/v/{NAMELESS}/_data/base"])], Reason.IN_USE, "container db (exited)"),
        (
            [volume(), Finding("docker", "service", "shop", {"images": [], "volumes": [NAMELESS]})],
            Reason.IN_USE,
            "swarm service shop",
        ),
        ([volume(), named(NAMELESS)], Reason.IN_USE, "named in /opt/shop/compose.yml"),
        ([volume(), named(f"*{NAMELESS[4:]}")], Reason.IN_USE, "named in /opt/shop/compose.yml"),
        ([volume(labels={"maintenancebot.keep": ""})], Reason.KEPT, "label maintenancebot.keep"),
        ([volume(driver="nfs")], Reason.KEPT, "only local volumes without options go, this is nfs"),
        ([volume(options={"type": "nfs"})], Reason.KEPT, "only local volumes without options go, this is local"),
    ],
)
def test_a_volume_stays(findings: list[Finding], reason: Reason, detail: str) -> None:
    assert kept(plan(findings)) == (reason.value, detail)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"volume_mounts": [f"/v/{NAMELESS}/_data/inner"]}, Reason.IN_USE),
        ({"gaps": ["/root: Permission denied"]}, Reason.USE_UNKNOWN),
        ({"unnamed_volumes": ["/opt/compose.yml names a volume by a variable"]}, Reason.USE_UNKNOWN),
        ({"swarm": "active"}, Reason.USE_UNKNOWN),
        ({"engine": "podman"}, Reason.KEPT),
    ],
)
def test_a_volume_stays_by_what_the_host_tells(facts: dict[str, Json], reason: Reason) -> None:
    assert kept(plan([volume()], **facts))[0] == reason.value


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({**OLD, "looks": 2}, ("seen_too_seldom", "unused at 2 of 3 looks")),
        ({**OLD, "since": NOW - 5 * HOUR}, ("too_young", "unused for 5 h")),
        (None, ("seen_too_seldom", "unused at 0 of 3 looks")),
    ],
)
def test_looks_and_time_must_both_be_enough(row: Json, expected: tuple[str, str]) -> None:
    assert kept(plan([volume()], {f"volume:{NAMELESS}": row} if row else {})) == expected


def test_the_time_counts_by_our_own_clock() -> None:
    row = {**OLD, "since": NOW - 40 * HOUR}
    assert kept(plan([volume()], {f"volume:{NAMELESS}": row}, offset=20.0 * HOUR))[0] == "too_young"


def learn(findings: Sequence[Finding], known: Mapping[str, Json], **facts: Json) -> dict[str, Json]:
    return dict(containers.learned(settings(), result(findings, **facts), known, NOW))


def test_looks_add_up_while_a_volume_stays_unused_and_the_same() -> None:
    first = learn([volume()], {})
    assert first == {f"volume:{NAMELESS}": {"is": OLD["is"], "since": NOW, "looks": 1}}
    known = {f"volume:{NAMELESS}": {**OLD, "looks": 2}}
    assert learn([volume()], known)[f"volume:{NAMELESS}"] == {**OLD, "looks": 3}


@pytest.mark.parametrize(
    ("findings", "facts"),
    [
        ([volume(), container(volumes=[NAMELESS])], {}),
        ([volume(), named(NAMELESS)], {}),
        ([], {}),
        ([volume()], {"gaps": ["/root: Permission denied"]}),
        ([volume()], {"engine": ""}),
    ],
)
def test_a_look_that_sees_it_used_or_not_at_all_or_cannot_see_everything_begins_anew(
    findings: list[Finding], facts: dict[str, Json]
) -> None:
    assert learn(findings, {f"volume:{NAMELESS}": OLD}, **facts) == {}


def test_a_volume_that_was_made_again_begins_anew() -> None:
    for other in (volume(created="later"), volume(mountpoint="/w")):
        assert learn([other], {f"volume:{NAMELESS}": OLD})[f"volume:{NAMELESS}"]["looks"] == 1


def test_a_failed_look_breaks_the_count_and_forgets_no_image() -> None:
    known = {f"volume:{NAMELESS}": OLD, "image:i": {"first": 1.0, "used": 0.0}}
    failed = ProbeResult(State.UNKNOWN, Reason.NOT_RESPONDING)
    assert containers.learned(settings(), failed, known, NOW) == {"image:i": {"first": 1.0, "used": 0.0}}


def test_images_are_remembered_since_first_seen_and_as_last_used() -> None:
    image = Finding("docker", "image", "i", {})
    assert learn([image], {}) == {"image:i": {"first": NOW, "used": 0.0}}
    used = learn([image, container(image_id="i")], {"image:i": {"first": 1.0, "used": 0.0}})
    assert used == {"image:i": {"first": 1.0, "used": NOW}}
    assert learn([image], {"image:i": {"first": 1.0, "used": 5.0}}) == {"image:i": {"first": 1.0, "used": 5.0}}
    assert learn([], {"image:i": {"first": 1.0, "used": 5.0}}) == {}
