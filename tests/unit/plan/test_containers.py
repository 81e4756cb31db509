"""Which images go, which stay and why: tables of facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from maintenancebot.model import Finding, Host, HostFacts, Json, Reason, State, TaskType, Undo
from maintenancebot.plan import containers
from maintenancebot.plan.document import TaskPlan
from maintenancebot.plan.image_names import Names, full
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask

NOW = 1_800_000_000.0
HOUR = 3600
DIGEST = "sha256:" + "d" * 64
HOST = Host("web-1", "192.0.2.1")


def number(value: int) -> str:
    return "sha256:" + f"{value:02x}" * 32


def image(value: int, tag: str = "", *, hours: float | None = 100, digest: bool = True, **more: Json) -> Finding:
    repository = tag.rpartition(":")[0] or "lost"
    data: dict[str, Json] = {
        "id": number(value),
        "tags": [tag] if tag else [],
        "digests": [f"{repository}@{DIGEST[:-2]}{value:02x}"] if digest else [],
        "created": NOW - 2000 * HOUR,
        "last_tagged": None if hours is None else NOW - hours * HOUR,
        "size": 1000,
        "parent": "",
        "labels": {},
        **more,
    }
    return Finding("docker", "image", data["id"], data)


def container(made_from: int, name: str = "web", state: str = "exited", image_name: str = "", **more: Json) -> Finding:
    data: dict[str, Json] = {"name": name, "state": state, "image": image_name, "image_id": number(made_from)}
    return Finding("docker", "container", name, {**data, "volumes": [], "binds": [], "labels": {}, **more})


def reference(name: str, source: str = "/opt/app/compose.yml") -> Finding:
    return Finding("docker", "image_reference", name, {"source": source, "how": "compose"})


def plan(
    findings: Sequence[Finding],
    *,
    facts: Mapping[str, Json] | None = None,
    uid: int = 0,
    offset: float = 0.0,
    **settings: Json,
) -> TaskPlan:
    values: dict[str, Json] = {"remove_unused_images": True, "keep_newest": 0, **settings}
    task = DockerPruneTask(name="docker", type=TaskType.DOCKER_PRUNE, **values)
    host_facts = HostFacts("id", "boot", "web-1", "debian", "12", "6", "3.11", uid, NOW, offset)
    known = {"engine": "docker", "store": "classic", "data_root": "/var/lib/docker", "socket": "/run/docker.sock"}
    result = ProbeResult(State.DONE, findings=tuple(findings), facts={**known, **(facts or {})})
    return containers.plan(HOST, task, None, host_facts, result)  # type: ignore[arg-type]


def going(made: TaskPlan) -> list[str]:
    return [change.name for change in made.changes]


def reasons(made: TaskPlan) -> dict[str, str]:
    return {row["object"]: row["reason"] for row in made.facts["kept_objects"]}


def test_an_unused_old_pullable_image_goes_by_id_with_all_that_must_still_hold() -> None:
    made = plan([image(1, "app:1")])
    (change,) = made.changes
    assert (made.state, change.name, change.undo) == (State.PLANNED, "app:1", Undo.PULL)
    assert change.object == {
        "id": number(1),
        "tags": ["app:1"],
        "digests": [f"app@{DIGEST[:-2]}01"],
        "size": 1000,
        "data_root": "/var/lib/docker",
        "socket": "/run/docker.sock",
    }
    assert change.effect == {"freed_at_most": 1000}
    assert f"docker pull app@{DIGEST[:-2]}01" in change.note


@pytest.mark.parametrize(
    ("finding", "reason"),
    [
        (image(1, "app:1", hours=47.9), Reason.TOO_YOUNG),
        (image(1, "app:1", hours=None), Reason.AGE_UNKNOWN),
        (image(1, "app:1", hours=-1), Reason.TIME_IMPLAUSIBLE),
        (image(1, "app:1", digest=False), Reason.NOT_PULLABLE),
        (image(1, digest=False), Reason.NOT_PULLABLE),
        (image(1, "app:1", labels={"maintenancebot.keep": ""}), Reason.KEPT),
        (image(1, "app:1", labels={"com.docker.compose.project": "shop"}), Reason.IN_USE),
    ],
)
def test_an_image_stays(finding: Finding, reason: Reason) -> None:
    made = plan([finding])
    assert (made.state, made.changes) == (State.NOTHING, ())
    assert list(reasons(made).values()) == [reason.value]
    assert made.facts["kept"] == {reason.value: 1}


@pytest.mark.parametrize(("hours", "goes"), [(47.9, False), (48.1, True)])
def test_age_counts_from_arrival_here_and_not_from_the_build(hours: float, goes: bool) -> None:
    assert bool(plan([image(1, "app:1", hours=hours, created=NOW - 9e7)]).changes) is goes


@pytest.mark.parametrize(("hours", "goes"), [(47.9, False), (48.1, True)])
def test_an_image_without_a_time_of_its_own_is_as_old_as_our_first_sighting(hours: float, goes: bool) -> None:
    seen = {f"image:{number(1)}": {"first": NOW - HOUR - hours * HOUR, "used": 0.0}}
    made = plan([image(1, "app:1", hours=None)], facts={"remembered": seen}, offset=float(HOUR))
    assert bool(made.changes) is goes


def test_the_daemons_own_time_counts_more_than_a_sighting() -> None:
    seen = {number(1): {"first_seen": NOW - 1000 * HOUR, "times": 9}}
    assert reasons(plan([image(1, "app:1", hours=1)], facts={"sightings": seen})) == {"app:1": "too_young"}


@pytest.mark.parametrize("state", ["running", "paused", "exited", "created", "dead", "restarting", "removing"])
def test_a_container_of_any_state_keeps_its_image(state: str) -> None:
    made = plan([image(1, "app:1"), container(1, state=state)])
    assert made.facts["kept_objects"] == [{"object": "app:1", "reason": "in_use", "detail": f"container web ({state})"}]


def test_a_container_keeps_also_the_image_that_its_name_leads_to_now() -> None:
    assert going(plan([image(1, "app:1"), image(2, "x:2"), container(3, image_name="app:1")])) == ["x:2"]


@pytest.mark.parametrize(
    "name",
    [
        "app",
        "app:latest",
        "docker.io/library/app",
        "library/app:latest",
        "app:9@" + DIGEST[:-2] + "01",
        "other@" + DIGEST[:-2] + "01",
        "01" * 32,
        "01" * 6,
        number(1),
        "app:*",
        "*/app:*",
        "ap*",
    ],
)
def test_a_name_in_a_file_keeps_the_image_it_means(name: str) -> None:
    made = plan([image(1, "app:latest"), image(77, "other:1"), reference(name, "/etc/cron.d/report")])
    assert made.facts["kept_objects"] == [
        {"object": "app:latest", "reason": "in_use", "detail": "named in /etc/cron.d/report"}
    ]
    assert going(made) == ["other:1"]


@pytest.mark.parametrize("name", ["app:2", "reg.example/app", "me/app", "ap", "app@" + DIGEST, "b" * 12, "*.example/*"])
def test_a_name_that_means_another_image_keeps_nothing(name: str) -> None:
    assert going(plan([image(1, "app:latest"), reference(name)])) == ["app:latest"]


def test_a_swarm_service_keeps_its_image_and_the_one_before() -> None:
    service = Finding(
        "docker", "service", "shop", {"images": ["shop:2@" + DIGEST[:-2] + "02", "shop:1"], "volumes": []}
    )
    made = plan([image(1, "shop:1"), image(2, "shop:2"), image(3, "shop:3"), service])
    assert going(made) == ["shop:3"]
    assert made.facts["kept_objects"][0]["detail"] == "swarm service shop"


@pytest.mark.parametrize("pattern", ["app:*", "app:1", "docker.io/library/app*", "app", "*1"])
def test_keep_images_are_globs_of_names(pattern: str) -> None:
    assert reasons(plan([image(1, "app:1")], keep_images=(pattern,))) == {"app:1": "kept"}


@pytest.mark.parametrize(("label", "stays"), [("tier", True), ("tier=db", True), ("tier=web", False), ("ti", False)])
def test_keep_labels_are_keys_or_keys_with_a_value(label: str, stays: bool) -> None:
    made = plan([image(1, "app:1", labels={"tier": "db"})], keep_labels=(label,))
    assert (made.state is State.NOTHING) is stays


def test_the_newest_of_each_repository_stay_by_arrival() -> None:
    made = plan(
        [
            image(1, "app:1", hours=300, created=NOW),
            image(2, "app:2", hours=200),
            image(3, "app:3", hours=100, created=0.0),
            image(4, "reg.example/app:1", hours=900),
        ],
        keep_newest=2,
    )
    assert going(made) == ["app:1"]


def test_an_image_whose_tag_moved_on_belongs_to_the_repository_of_its_digest() -> None:
    old = image(1, "", digests=[f"app@{DIGEST}"], hours=300)
    made = plan([old, image(2, "app:latest", hours=100)], keep_newest=1)
    assert going(made) == [f"app ({number(1)[7:19]})"]


def test_a_parent_goes_after_its_children_and_stays_with_them() -> None:
    family = [image(1, "base:1"), image(2, "mid:1", parent=number(1)), image(3, "top:1", parent=number(2))]
    assert going(plan(family)) == ["top:1", "mid:1", "base:1"]
    made = plan([*family, container(3)])
    assert reasons(made) == {"base:1": "in_use", "mid:1": "in_use", "top:1": "in_use"}
    assert made.facts["kept_objects"][0]["detail"] == "top:1 is built on it"


def test_parents_in_a_circle_end_too() -> None:
    made = plan([image(1, "a:1", parent=number(2)), image(2, "b:1", parent=number(1))])
    assert sorted(going(made)) == ["a:1", "b:1"]


@pytest.mark.parametrize(
    ("facts", "uid", "reason"),
    [
        ({"gaps": ["/root: Permission denied"]}, 1000, Reason.NEEDS_ROOT),
        ({"gaps": ["the search for names of images took too long"]}, 0, Reason.USE_UNKNOWN),
        ({"unresolved": ["/srv/a/compose.yml"]}, 0, Reason.USE_UNKNOWN),
    ],
)
def test_what_could_not_be_searched_keeps_all_images(facts: Mapping[str, Json], uid: int, reason: Reason) -> None:
    made = plan([image(1, "app:1"), image(2, "used:1"), container(2)], facts=facts, uid=uid)
    assert (made.state, made.reason, made.changes) == (State.SKIPPED, reason, ())
    assert reasons(made) == {"app:1": "use_unknown", "used:1": "in_use"}


@pytest.mark.parametrize("facts", [{"engine": "podman"}, {"store": "containerd"}])
def test_where_every_image_has_a_digest_none_is_proven_pullable(facts: Mapping[str, Json]) -> None:
    assert reasons(plan([image(1, "app:1")], facts=facts)) == {"app:1": "not_pullable"}


def test_an_image_that_was_used_a_short_while_ago_stays_however_long_it_is_here() -> None:
    row = {"first": NOW - 900 * HOUR, "used": NOW - 5 * HOUR}
    made = plan([image(1, "app:1", hours=900)], facts={"remembered": {f"image:{number(1)}": row}})
    assert made.facts["kept_objects"] == [
        {"object": "app:1", "reason": "too_young", "detail": "came or was last used 5 h ago"}
    ]


def test_the_version_before_a_running_one_stays_beside_the_newest() -> None:
    images = [image(value, f"app:{value}", hours=100 * (6 - value)) for value in range(1, 6)]
    made = plan([*images, container(3, state="running")], keep_newest=1)
    assert going(made) == ["app:1", "app:4"]
    assert reasons(made) == {"app:2": "kept", "app:3": "in_use", "app:5": "kept"}
    stopped = plan([*images, container(3, state="exited")], keep_newest=1)
    assert going(stopped) == ["app:1", "app:2", "app:4"]


def test_what_no_registry_gives_back_goes_only_when_it_is_saved() -> None:
    (change,) = plan([image(1, "mine:1", digest=False)], save_images=True).changes
    assert (change.undo, change.object["save"]) == (Undo.TRASH, True)
    (change,) = plan([image(1, "theirs:1")], save_images=True).changes
    assert (change.undo, "save" in change.object) == (Undo.PULL, False)
    (change,) = plan([image(1, "theirs:1")], facts={"store": "containerd"}, save_images=True).changes
    assert change.undo is Undo.TRASH
    assert not plan([image(1, "mine:1", digest=False)], facts={"engine": "podman"}, save_images=True).changes


def test_nothing_goes_unless_it_is_switched_on() -> None:
    made = plan([image(1, "app:1")], remove_unused_images=False)
    assert (made.state, made.reason, made.changes) == (State.NOTHING, Reason.NOT_CONFIGURED, ())


def test_no_docker_is_nothing_to_do() -> None:
    made = plan([], facts={"engine": "", "other_sockets": ["/run/user/1000/docker.sock"]})
    assert (made.state, made.reason) == (State.NOTHING, Reason.NOT_INSTALLED)
    assert "/run/user/1000/docker.sock" in made.detail


def test_a_probe_that_could_not_look_is_never_nothing_to_do() -> None:
    task = DockerPruneTask(name="docker", type=TaskType.DOCKER_PRUNE, remove_unused_images=True)
    facts = HostFacts("id", "boot", "web-1", "debian", "12", "6", "3.11", 0, NOW, 0.0)
    result = ProbeResult(State.UNKNOWN, Reason.NOT_RESPONDING, "silence")
    made = containers.plan(HOST, task, None, facts, result)  # type: ignore[arg-type]
    assert (made.state, made.reason, made.detail) == (State.UNKNOWN, Reason.NOT_RESPONDING, "silence")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nginx", "docker.io/library/nginx:latest"),
        ("nginx:1", "docker.io/library/nginx:1"),
        ("me/app", "docker.io/me/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("reg.example:5000/a/b:v1@" + DIGEST, "reg.example:5000/a/b:v1"),
    ],
)
def test_names_are_read_as_docker_reads_them(name: str, expected: str) -> None:
    assert full(name) == expected


def test_the_first_user_of_a_name_is_told() -> None:
    assert Names([("app", "first"), ("app:latest", "second")]).user(number(1), ["app:latest"], []) == "first"
