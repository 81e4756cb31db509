"""The container task against a real dockerd and a real registry: looked at, planned, removed, measured."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest

from maintenancebot.actions import containers as actions
from maintenancebot.helper.containers import containers as helper
from maintenancebot.helper.containers import images
from maintenancebot.helper.trash import recovery
from maintenancebot.model import Change, Finding, Host, HostFacts, Json, Outcome, Reason, State, TaskType, Undo
from maintenancebot.plan import containers as planner
from maintenancebot.plan.document import TaskPlan, change_to_json
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import containers as probe
from maintenancebot.remote import docker_socket
from maintenancebot.remote.local import LocalSession
from maintenancebot.settings import DockerPruneTask, Settings

NEEDED = ("dockerd", "containerd", "docker-registry")
HOST = Host("here", "127.0.0.1", connection="local")
SESSION = LocalSession(HOST, 20)
DAY = 86400

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="dockerd needs root"),
    pytest.mark.skipif(any(shutil.which(name) is None for name in NEEDED), reason=f"needs {', '.join(NEEDED)}"),
]


def task(**more: Json) -> DockerPruneTask:
    values: dict[str, Json] = {"remove_unused_images": True, "keep_newest": 0, **more}
    return DockerPruneTask(name="docker_cleanup", type=TaskType.DOCKER_PRUNE, **values)


def wait_for(ready: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end, f"{what} did not come up"
        time.sleep(0.05)


@contextlib.contextmanager
def process(argv: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        started = subprocess.Popen(argv, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        started.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="mb-docker-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def registry(folder: Path) -> Iterator[str]:
    address = f"127.0.0.1:{free_port()}"
    settings = {"version": 0.1, "http": {"addr": address}}
    settings["storage"] = {"filesystem": {"rootdirectory": str(folder / "registry")}}
    (folder / "registry.json").write_text(json.dumps(settings))
    with process(["docker-registry", "serve", str(folder / "registry.json")], folder / "registry.log"):
        host, port = address.split(":")

        def answers() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return True
            return False

        wait_for(answers, "the registry")
        yield address


@dataclass
class Daemon:
    """The real thing, with the SDK's own client for what a test has to arrange."""

    socket: str
    pid: int
    client: docker.APIClient
    registry: str

    def image(
        self, name: str, *, size: int = 200_000, pushed: bool = True, labels: Mapping[str, str] | None = None
    ) -> str:
        """An image with bytes of its own; after a push and a pull it has a digest, as one from a registry."""
        tagged = f"{self.registry}/{name}"
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            entry = tarfile.TarInfo(f"data-{name.replace('/', '-').replace(':', '-')}")
            entry.size = size
            archive.addfile(entry, io.BytesIO(os.urandom(size)))
        repository, _, tag = tagged.rpartition(":")
        changes = [f"LABEL {key}={value}" for key, value in (labels or {}).items()]
        self.client.import_image_from_data(tar.getvalue(), repository, tag, changes=changes)
        if pushed:
            assert "errorDetail" not in self.client.push(repository, tag)
        return tagged

    def id(self, name: str) -> str:
        return str(self.client.inspect_image(name)["Id"])

    def has(self, identity: str) -> bool:
        return any(row["Id"] == identity for row in self.client.images(all=True))

    def container(self, image: str, name: str) -> str:
        made = self.client.create_container(image, ["/none"], name=name, network_disabled=True)
        return str(made["Id"])

    def wipe(self) -> None:
        for row in self.client.containers(all=True):
            self.client.remove_container(row["Id"], force=True)
        for row in self.client.images(all=True):
            with contextlib.suppress(docker.errors.APIError):
                self.client.remove_image(row["Id"], force=True)
        for row in self.client.volumes()["Volumes"] or []:
            self.client.remove_volume(row["Name"])


@pytest.fixture(scope="module")
def running(folder: Path, registry: str) -> Iterator[Daemon]:
    path = folder / "docker.sock"
    argv = ["dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"), "--iptables=false"]
    argv += ["--bridge=none", "-H", f"unix://{path}", "--pidfile", str(folder / "pid")]
    with process(argv, folder / "dockerd.log") as started:
        wait_for(path.exists, "dockerd")
        client = docker.APIClient(f"unix://{path}", version="auto")
        yield Daemon(str(path), started.pid, client, registry)
        client.close()


@pytest.fixture
def daemon(running: Daemon) -> Daemon:
    running.wipe()
    return running


class Streamed:
    """Takes what the helper reports."""

    def __init__(self, task_name: str) -> None:
        self.task = task_name
        self.findings: list[Finding] = []

    def finding(self, kind: str, subject: str, **data: Json) -> None:
        self.findings.append(Finding(self.task, kind, subject, data))

    def alive(self, doing: str) -> None:
        pass


def look(daemon: Daemon, wanted: DockerPruneTask) -> ProbeResult:
    out = Streamed(wanted.name)
    result = helper.probe({"sockets": [daemon.socket]}, out)
    seen = ProbeResult(State.DONE, findings=tuple(out.findings), facts=result.facts)
    return probe.complete(wanted, None, seen, SESSION)  # type: ignore[arg-type]


def plan(daemon: Daemon, wanted: DockerPruneTask, *, hours_later: float = 72) -> TaskPlan:
    """The plan as it would be made some hours from now."""
    facts = HostFacts("id", "boot", "here", "debian", "12", "6", "3.11", 0, time.time() + hours_later * 3600, 0.0)
    return planner.plan(HOST, wanted, None, facts, look(daemon, wanted))  # type: ignore[arg-type]


def perform(wanted: DockerPruneTask, changes: Sequence[Change]) -> list[Outcome]:
    """What the helper makes of them, without saving anything to a trash."""
    steps = actions.steps(wanted, Settings(name="lab", tasks=(wanted,)), changes)
    outcomes: list[Outcome] = []
    for step in steps:
        asked = {"changes": [change_to_json(change) for change in step.changes], "args": dict(step.args)}
        outcomes += actions.outcomes(step, images.remove({**asked, "run": "r", "now": 0}, Streamed("docker")))
    return outcomes


@pytest.fixture(autouse=True)
def no_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trash of this machine is nobody's business here."""
    monkeypatch.setattr(recovery, "_done", [True])


def kept(made: TaskPlan) -> dict[str, str]:
    return {row["object"]: row["reason"] for row in made.facts["kept_objects"]}


def test_an_unused_image_that_a_registry_has_goes_and_is_measured(daemon: Daemon) -> None:
    name = daemon.image("old:1", size=3_000_000)
    identity = daemon.id(name)
    made = plan(daemon, task())
    assert [(change.name, change.undo, change.object["id"]) for change in made.changes] == [(name, Undo.PULL, identity)]
    assert daemon.has(identity)
    (outcome,) = perform(task(), made.changes)
    assert (outcome.state, outcome.reason) == (State.DONE, Reason.VERIFIED)
    assert not daemon.has(identity)
    assert outcome.measured["freed_now"] >= 3_000_000
    daemon.client.pull(made.changes[0].object["digests"][0])
    assert daemon.id(made.changes[0].object["digests"][0]) == identity


def test_a_removal_that_was_never_recorded_is_found_out_from_the_daemon(daemon: Daemon) -> None:
    daemon.image("recalled:1")
    made = plan(daemon, task())
    request = {"id": made.changes[0].id, "action": "remove_image", "object": dict(made.changes[0].object)}
    before = images.recall(request)
    perform(task(), made.changes)
    after = images.recall(request)
    assert [(answer["state"], answer["reason"]) for answer in (before, after)] == [
        ("skipped", "not_started"),
        ("done", "verified"),
    ]


def test_an_image_loaded_a_minute_ago_stays_whenever_it_was_built(daemon: Daemon) -> None:
    name = daemon.image("built/long-ago:1")
    made = plan(daemon, task(), hours_later=1)
    assert made.state is State.NOTHING
    assert kept(made) == {name: "too_young"}


def test_a_local_image_stays_with_or_without_a_tag(daemon: Daemon) -> None:
    first = daemon.image("mine:1", pushed=False)
    nameless = daemon.id(first)
    second = daemon.image("mine:1", pushed=False)
    assert kept(plan(daemon, task())) == {second: "not_pullable", nameless[7:19]: "not_pullable"}


def test_an_image_of_a_stopped_container_stays(daemon: Daemon) -> None:
    name = daemon.image("stopped:1")
    daemon.container(name, "down-tonight")
    made = plan(daemon, task())
    assert not made.changes
    assert made.facts["kept_objects"] == [
        {"object": name, "reason": "in_use", "detail": "container down-tonight (created)"}
    ]


def test_labels_globs_and_the_newest_of_a_repository_stay(daemon: Daemon) -> None:
    labelled = daemon.image("labelled:1", labels={"maintenancebot.keep": "yes"})
    listed = daemon.image("listed:1")
    older = daemon.image("app:1")
    newer = daemon.image("app:2")
    made = plan(daemon, task(keep_newest=1, keep_images=("*/listed:*",)))
    assert [change.name for change in made.changes] == [older]
    assert kept(made) == {labelled: "kept", listed: "kept", newer: "kept"}


def test_an_image_with_several_names_goes_with_all_of_them(daemon: Daemon) -> None:
    name = daemon.image("named:1")
    identity = daemon.id(name)
    daemon.client.tag(identity, "alias", "latest")
    daemon.client.tag(identity, f"{daemon.registry}/elsewhere", "1")
    daemon.client.push(f"{daemon.registry}/elsewhere", "1")
    made = plan(daemon, task())
    (outcome,) = perform(task(), made.changes)
    assert (outcome.state, outcome.detail) == (State.DONE, "")
    assert not daemon.has(identity)


def test_an_image_that_a_second_repository_knows_by_digest_alone_goes_too(daemon: Daemon) -> None:
    name = daemon.image("here:1")
    identity = daemon.id(name)
    second = f"{daemon.registry}/there"
    daemon.client.tag(identity, second, "1")
    daemon.client.push(second, "1")
    daemon.client.remove_image(f"{second}:1")
    digest = daemon.client.inspect_image(name)["RepoDigests"][0].partition("@")[2]
    daemon.client.pull(f"{second}@{digest}")
    assert len(daemon.client.inspect_image(name)["RepoDigests"]) == 2
    made = plan(daemon, task())
    (outcome,) = perform(task(), made.changes)
    assert (outcome.state, outcome.detail) == (State.DONE, "")
    assert not daemon.has(identity)


def test_what_changed_after_the_plan_is_left_alone(daemon: Daemon) -> None:
    used, moved, gone = (daemon.image(f"{name}:1") for name in ("used", "moved", "gone"))
    made = plan(daemon, task())
    assert {change.name for change in made.changes} == {used, moved, gone}
    daemon.container(used, "new")
    daemon.client.tag(moved, "pinned", "now")
    daemon.client.remove_image(gone)
    outcomes = {o.change_id: (o.state, o.reason) for o in perform(task(), made.changes)}
    assert {change.name: outcomes[change.id] for change in made.changes} == {
        used: (State.SKIPPED, Reason.IN_USE),
        moved: (State.SKIPPED, Reason.CHANGED_SINCE),
        gone: (State.NOTHING, Reason.ALREADY_GONE),
    }
    assert daemon.id("pinned:now") == daemon.id(moved)


def test_a_tag_that_moved_to_another_image_costs_neither_image(daemon: Daemon) -> None:
    name = daemon.image("rolling:1")
    identity = daemon.id(name)
    made = plan(daemon, task())
    daemon.image("rolling:1")
    (outcome,) = perform(task(), made.changes)
    assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.CHANGED_SINCE)
    assert daemon.has(identity)
    assert daemon.id(name) != identity


def test_children_go_before_parents_and_a_kept_child_keeps_its_parent(daemon: Daemon) -> None:
    base = daemon.image("base:1")
    made_from = daemon.container(base, "builder")
    tags = [f"{daemon.registry}/child", f"{daemon.registry}/grandchild"]
    daemon.client.commit(made_from, tags[0], "1", changes="LABEL a=b")
    second = daemon.container(f"{tags[0]}:1", "builder2")
    daemon.client.commit(second, tags[1], "1", changes="LABEL c=d")
    for row in daemon.client.containers(all=True):
        daemon.client.remove_container(row["Id"])
    made = plan(daemon, task())
    assert kept(made) == {f"{tags[0]}:1": "not_pullable", f"{tags[1]}:1": "not_pullable", base: "in_use"}
    for tag in tags:
        daemon.client.push(tag, "1")
    made = plan(daemon, task())
    assert [change.name for change in made.changes] == [f"{tags[1]}:1", f"{tags[0]}:1", base]
    assert [outcome.state for outcome in perform(task(), made.changes)] == [State.DONE] * 3


def test_images_of_swarm_services_stay_even_at_scale_zero_and_for_a_rollback(daemon: Daemon) -> None:
    first, second = daemon.image("service:1"), daemon.image("service:2")
    other = daemon.image("other:1")
    daemon.client.init_swarm("127.0.0.1", "127.0.0.1:0")
    try:
        spec = {"Mode": {"Replicated": {"Replicas": 0}}}
        template = docker.types.TaskTemplate(docker.types.ContainerSpec(first))
        made = daemon.client.create_service(template, name="shop", mode=docker.types.ServiceMode("replicated", 0))
        about = daemon.client.inspect_service(made["ID"])
        daemon.client.update_service(
            made["ID"],
            about["Version"]["Index"],
            docker.types.TaskTemplate(docker.types.ContainerSpec(second)),
            name="shop",
            mode=spec["Mode"],
        )
        planned = plan(daemon, task())
        assert [change.name for change in planned.changes] == [other]
        assert kept(planned) == {first: "in_use", second: "in_use"}
        stale = replace(planned.changes[0], object={**planned.changes[0].object, **_identity(daemon, second)})
        (outcome,) = perform(task(), [stale])
        assert (outcome.state, outcome.reason, outcome.detail) == (State.SKIPPED, Reason.IN_USE, "swarm service shop")
    finally:
        daemon.client.leave_swarm(force=True)


def _identity(daemon: Daemon, name: str) -> dict[str, Json]:
    about = daemon.client.inspect_image(name)
    return {
        "id": about["Id"],
        "tags": about["RepoTags"],
        "digests": about["RepoDigests"],
        "size": about["Size"],
    }


def test_volumes_are_counted_by_our_own_count(daemon: Daemon) -> None:
    name = daemon.image("stateful:1")
    daemon.client.create_volume("orphan")
    daemon.client.create_volume("database")
    config = daemon.client.create_host_config(binds=["database:/data"])
    daemon.client.create_container(name, ["/none"], name="db", host_config=config, network_disabled=True)
    made = plan(daemon, task(remove_dangling_volumes=True, volumes=("orphan", "database"), sightings=1))
    assert made.facts["volumes"] == {"total": 2, "unused": 1}
    assert not made.changes
    assert kept(made)["volume orphan"] == "seen_too_seldom"
    assert kept(made)["volume database"] == "in_use"
    assert {row["Name"] for row in daemon.client.volumes()["Volumes"]} == {"orphan", "database"}


def test_a_frozen_daemon_is_unknown_and_not_zero_images(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.image("any:1")
    monkeypatch.setattr(probe, "DEADLINE_SECONDS", 1)
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        result = look(daemon, task())
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    assert (result.state, result.reason) == (State.UNKNOWN, Reason.NOT_RESPONDING)


def test_the_daemon_is_known_by_its_own_word(daemon: Daemon) -> None:
    with docker_socket.connect(SESSION, daemon.socket) as found:
        assert found.engine == "docker"
        assert found.info()["DockerRootDir"].endswith("/data")
