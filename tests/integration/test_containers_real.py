"""Build cache, stopped containers and work under way, as real daemons have them: dockerd with BuildKit, and podman."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import docker
import pytest

from maintenancebot.actions import containers as actions
from maintenancebot.helper.containers import images, leftovers, volumes
from maintenancebot.model import Action, Change, Outcome, Reason, State, Undo
from maintenancebot.plan.document import TaskPlan, change_to_json
from maintenancebot.settings import DockerPruneTask, Settings
from tests.integration import test_containers as real
from tests.integration.test_containers import Daemon, Streamed, kept, look, plan, process, task, wait_for

CLIENT = "/usr/bin/docker"  # the distribution's: newer ones build by a plugin
OPS = {"images.remove": images.remove, "leftovers.remove": leftovers.remove, "volumes.remove": volumes.remove}
PROGRAMS = ("/bin/sleep", "/bin/true")
CACHE = {"remove_unused_images": False, "build_cache": True}
JOBS = {"remove_unused_images": False, "stopped_containers": ("job-*",)}

needs_dockerd = [*real.pytestmark, pytest.mark.skipif(not Path(CLIENT).exists(), reason=f"needs {CLIENT}")]
pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="daemons of containers need root")]

folder = real.folder
registry = real.registry
running = real.running
daemon = real.daemon
no_recovery = real.no_recovery


def perform(wanted: DockerPruneTask, changes: Sequence[Change]) -> list[Outcome]:
    """What the helper makes of them, each kind by its own operation."""
    outcomes: list[Outcome] = []
    for step in actions.steps(wanted, Settings(name="lab", tasks=(wanted,)), changes):
        asked = {"changes": [change_to_json(change) for change in step.changes], "args": dict(step.args)}
        outcomes += actions.outcomes(step, OPS[step.op]({**asked, "run": "r", "now": 0}, Streamed("docker")))
    return outcomes


def root_file_system() -> bytes:
    """A tar of two programs of this machine and what they need to run."""
    found = set(PROGRAMS)
    for program in PROGRAMS:
        listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        found |= set(re.findall(r"(/\S+) \(0x", listing))
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", dereference=True) as archive:
        for name in sorted(found):
            archive.add(name)
    return tar.getvalue()


class Proxy:
    """Hands bytes on between a listener and a daemon, so slowly that work under way can be looked at; or at once."""

    def __init__(self, family: int, address: str | tuple[str, int], behind: str | tuple[str, int]) -> None:
        self.slow = threading.Event()
        self._family, self._behind = family, behind
        self._listener = socket.socket(family)
        self._listener.bind(address)
        self._listener.listen(20)
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.socket(self._family)
                there.connect(self._behind)
                threading.Thread(target=self._both, args=(here, there), daemon=True).start()

    def _both(self, here: socket.socket, there: socket.socket) -> None:
        with here, there:
            back = threading.Thread(target=self._pump, args=(there, here), daemon=True)
            back.start()
            self._pump(here, there)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(8192):
                sink.sendall(data)
                if self.slow.is_set() and len(data) > 4000:
                    time.sleep(len(data) / 200_000)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


def client(at: str, folder: Path) -> dict[str, str]:
    """The environment of a docker client that knows nothing of this machine's settings."""
    return {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{at}", "DOCKER_CONFIG": str(folder)}


def build(at: str, context: Path, tag: str, *, kit: bool = True) -> None:
    environment = client(at, context.parent) | {"DOCKER_BUILDKIT": "1" if kit else "0"}
    argv = [CLIENT, "build", "--quiet", "--tag", tag, str(context)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def context(folder: Path, base: str = "scratch", **files: int) -> Path:
    """What an image of a layer for each file is built from; the files keep their bytes from one call to the next."""
    place = Path(tempfile.mkdtemp(dir=folder, prefix="context-"))
    for name, size in files.items():
        same = folder / f"file-{name}-{size}"
        if not same.exists():
            same.write_bytes(os.urandom(size))
        shutil.copy2(same, place / name)
    lines = [f"FROM {base}", *(f"COPY {name} /{name}" for name in files)]
    (place / "Dockerfile").write_text("\n".join(lines) + "\n")
    return place


def records(of: Daemon) -> dict[str, dict[str, object]]:
    answer = of.client._result(of.client._get(of.client._url("/system/df")), True)
    return {row["ID"]: row for row in answer["BuildCache"] or ()}


def on_disk(place: Path) -> int:
    """The bytes that files below a folder take."""
    return sum(entry.lstat().st_blocks * 512 for entry in place.rglob("*"))


def layers(folder: Path) -> int:
    return on_disk(folder / "data" / "overlay2")


@pytest.fixture
def clean(daemon: Daemon) -> Daemon:
    daemon.client.prune_builds(all=True)
    assert not records(daemon)
    return daemon


def under_way(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


# The build cache


class TestBuildCache:
    pytestmark = needs_dockerd

    def test_old_records_go_one_by_one_and_are_measured_on_the_data_root(self, clean: Daemon, folder: Path) -> None:
        build(clean.socket, context(folder, a=3_000_000, b=2_000_000, c=1_000_000), "app:1")
        clean.client.remove_image("app:1")
        before, there = layers(folder), set(records(clean))
        wanted = task(**CACHE)
        made = plan(clean, wanted)
        assert {change.object["id"] for change in made.changes} == there
        assert {(change.action, change.undo) for change in made.changes} == {(Action.REMOVE_BUILD_CACHE, Undo.REFETCH)}
        first, *others = made.changes
        assert perform(wanted, [first])[0].state is State.DONE
        assert set(records(clean)) == there - {first.object["id"]}
        outcomes = perform(wanted, others)
        assert {(outcome.state, outcome.reason) for outcome in outcomes} == {(State.DONE, Reason.VERIFIED)}
        assert not records(clean)
        assert before - layers(folder) >= 12_000_000  # each file lay in a layer, and in the context

    def test_a_young_record_stays_and_so_does_what_it_is_built_on(self, clean: Daemon, folder: Path) -> None:
        build(clean.socket, context(folder, a=300_000, b=200_000), "app:1")
        clean.client.remove_image("app:1")
        wanted = task(**CACHE)
        assert not plan(clean, wanted, hours_later=1).changes
        found = records(clean)
        (child,) = [key for key, row in found.items() if row["Parent"]]
        looked = look(clean, wanted)
        young = [
            replace(f, data={**f.data, "idle_since": f.data["idle_since"] + 71 * 3600}) if f.subject == child else f
            for f in looked.findings
        ]
        made = _planned(wanted, replace(looked, findings=tuple(young)))
        assert {change.object["id"] for change in made.changes} == set(found) - {child, found[child]["Parent"]}
        outcomes = perform(wanted, made.changes)
        assert {outcome.state for outcome in outcomes} == {State.DONE}

    def test_a_record_that_an_image_shares_stays_until_the_image_goes(self, clean: Daemon, folder: Path) -> None:
        build(clean.socket, context(folder, a=300_000, b=200_000), "app:1")
        build(clean.socket, context(folder, a=300_000, c=100_000), "app:2")
        clean.client.remove_image("app:1")
        found = records(clean)
        shared = {key for key, row in found.items() if row["Shared"]}
        assert len(shared) == 2
        wanted = task(**CACHE)
        made = plan(clean, wanted)
        assert {change.object["id"] for change in made.changes} == set(found) - shared
        assert {outcome.state for outcome in perform(wanted, made.changes)} == {State.DONE}
        assert set(records(clean)) == shared
        clean.client.remove_image("app:2")
        assert {change.object["id"] for change in plan(clean, wanted).changes} == shared

    def test_a_record_that_was_used_since_the_plan_stays(self, clean: Daemon, folder: Path) -> None:
        place = context(folder, a=300_000, b=200_000)
        build(clean.socket, place, "app:1")
        clean.client.remove_image("app:1")
        wanted = task(**CACHE)
        made = plan(clean, wanted)
        build(clean.socket, place, "app:1")
        there = set(records(clean))
        outcomes = perform(wanted, made.changes)
        assert {(outcome.state, outcome.reason) for outcome in outcomes} == {(State.SKIPPED, Reason.IN_USE)}
        assert set(records(clean)) == there

    def test_what_a_record_is_built_on_is_not_asked_for(self, clean: Daemon, folder: Path) -> None:
        build(clean.socket, context(folder, a=300_000, b=200_000), "app:1")
        clean.client.remove_image("app:1")
        wanted = task(**CACHE)
        parents = {row["Parent"] for row in records(clean).values()}
        (below,) = [change for change in plan(clean, wanted).changes if change.object["id"] in parents]
        (outcome,) = perform(wanted, [below])
        assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.IN_USE)
        assert below.object["id"] in records(clean)

    def test_records_of_a_build_under_way_stay(self, clean: Daemon, folder: Path) -> None:
        with slow_build(clean, folder) as (building, _):
            inside = {key for key, row in records(clean).items() if row["InUse"]}
            assert inside
            assert not {change.object["id"] for change in plan(clean, task(**CACHE)).changes} & inside
        building.join(60)
        assert clean.client.inspect_image("slow:1")


def _planned(wanted: DockerPruneTask, looked: real.ProbeResult) -> TaskPlan:
    facts = real.HostFacts("id", "boot", "here", "debian", "12", "6", "3.11", 0, time.time() + 72 * 3600, 0.0)
    return real.planner.plan(real.HOST, wanted, None, facts, looked)  # type: ignore[arg-type]


@contextlib.contextmanager
def slow_build(
    of: Daemon, folder: Path, base: str = "scratch", *, kit: bool = True
) -> Iterator[tuple[threading.Thread, Path]]:
    """A build whose one big file, in a folder of its own, is on its way to the daemon; afterwards it goes on."""
    place = context(folder, base)
    (place / "inner").mkdir()
    (place / "inner" / "big").write_bytes(os.urandom(4_000_000))
    (place / "Dockerfile").write_text(f"FROM {base}\nCOPY inner /inner\n")
    at = folder / "slow.sock"
    at.unlink(missing_ok=True)
    proxy = Proxy(socket.AF_UNIX, str(at), of.socket)
    proxy.slow.set()
    building = under_way(lambda: build(str(at), place, "slow:1", kit=kit))
    try:
        data = folder / "data"

        def has_begun() -> bool:
            places = (*data.glob("overlay2/*/diff/inner/big"), *data.glob("tmp/docker-builder*/inner/big"))
            return any(0 < path.stat().st_size < 4_000_000 for path in places)

        wait_for(has_begun, "the build")
        yield building, place
    finally:
        proxy.slow.clear()
        building.join(60)
        proxy.close()


# Stopped containers


class TestStoppedContainers:
    pytestmark = needs_dockerd

    def image(self, daemon: Daemon) -> str:
        daemon.client.import_image_from_data(root_file_system(), "programs", "1")
        return "programs:1"

    def started(self, daemon: Daemon, name: str, *words: str, binds: Sequence[str] = ()) -> str:
        host = daemon.client.create_host_config(network_mode="none", binds=list(binds))
        made = daemon.client.create_container("programs:1", list(words), name=name, host_config=host)
        daemon.client.start(made["Id"])
        return str(made["Id"])

    def test_only_the_ended_one_that_is_named_goes_and_its_volumes_stay(self, daemon: Daemon) -> None:
        image = self.image(daemon)
        ended = self.started(daemon, "job-ended", "/bin/true", binds=["kept-data:/data"])
        anonymous = daemon.client.create_volume(None)["Name"]
        second = self.started(daemon, "job-second", "/bin/true", binds=[f"{anonymous}:/data"])
        other = self.started(daemon, "other", "/bin/true")
        alive = self.started(daemon, "job-alive", "/bin/sleep", "1000")
        paused = self.started(daemon, "job-paused", "/bin/sleep", "1000")
        daemon.client.pause(paused)
        created = daemon.container(image, "job-created")
        for one in (ended, second, other):
            daemon.client.wait(one)
        wanted = task(**JOBS)
        assert kept(plan(daemon, wanted, hours_later=1))["container job-ended"] == "too_young"
        made = plan(daemon, wanted)
        assert {change.object["id"] for change in made.changes} == {ended, second}
        assert kept(made) == {"container job-created": "kept"}
        assert {(change.action, change.undo) for change in made.changes} == {(Action.REMOVE_CONTAINER, Undo.NONE)}
        assert {(o.state, o.reason) for o in perform(wanted, made.changes)} == {(State.DONE, Reason.VERIFIED)}
        left = {row["Id"]: row["State"] for row in daemon.client.containers(all=True)}
        assert left == {other: "exited", alive: "running", paused: "paused", created: "created"}
        assert {row["Name"] for row in daemon.client.volumes()["Volumes"]} == {"kept-data", anonymous}

    def test_a_plan_is_no_leave_to_stop_anything(self, daemon: Daemon) -> None:
        self.image(daemon)
        ended = self.started(daemon, "job-ended", "/bin/true")
        alive = self.started(daemon, "job-alive", "/bin/sleep", "1000")
        paused = self.started(daemon, "job-paused", "/bin/sleep", "1000")
        daemon.client.pause(paused)
        daemon.client.wait(ended)
        wanted = task(**JOBS)
        (change,) = plan(daemon, wanted).changes
        for identity in (alive, paused):
            about = daemon.client.inspect_container(identity)
            stale = {"id": identity, "name": about["Name"], "finished": about["State"]["FinishedAt"]}
            (outcome,) = perform(wanted, [replace(change, object={**change.object, **stale})])
            assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.IN_USE)
        assert {row["State"] for row in daemon.client.containers()} == {"running", "paused"}

    def test_one_that_ran_since_the_plan_stays(self, daemon: Daemon) -> None:
        self.image(daemon)
        ended = self.started(daemon, "job-ended", "/bin/true")
        daemon.client.wait(ended)
        wanted = task(**JOBS)
        made = plan(daemon, wanted)
        daemon.client.start(ended)
        daemon.client.wait(ended)
        (outcome,) = perform(wanted, made.changes)
        assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.CHANGED_SINCE)
        assert daemon.client.inspect_container(ended)["Id"] == ended


# Work under way


class TestBusy:
    pytestmark = needs_dockerd

    def test_while_an_image_is_pulled_no_image_goes(self, daemon: Daemon, folder: Path) -> None:
        old = daemon.image("old:1")
        big = daemon.image("big:1", size=4_000_000)
        daemon.client.remove_image(big)
        wanted = task()
        made = plan(daemon, wanted)
        assert [change.name for change in made.changes] == [old]
        host, port = daemon.registry.split(":")
        proxy = Proxy(socket.AF_INET, (host, 0), (host, int(port)))
        proxy.slow.set()
        slow = f"{host}:{proxy.port}/big:1"
        environment = client(daemon.socket, folder)
        pulling = under_way(lambda: subprocess.check_call([CLIENT, "pull", "-q", slow], env=environment))
        try:
            blobs = folder / "data" / "tmp"
            wait_for(lambda: any(path.stat().st_size for path in blobs.glob("GetImageBlob*")), "the pull")
            (outcome,) = perform(wanted, made.changes)
            assert plan(daemon, wanted).facts["under_way"]
        finally:
            proxy.slow.clear()
            pulling.join(60)
            proxy.close()
        assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.BUSY)
        assert daemon.id(slow)
        (change,) = [one for one in plan(daemon, wanted).changes if one.name == old]
        assert perform(wanted, [change])[0].state is State.DONE
        assert daemon.id(slow)

    @pytest.mark.parametrize("kit", [True, False], ids=["buildkit", "classic"])
    def test_while_an_image_is_built_no_image_goes(self, clean: Daemon, folder: Path, kit: bool) -> None:
        base = clean.image("base:1")
        wanted = task()
        made = plan(clean, wanted)
        assert [change.name for change in made.changes] == [base]
        with slow_build(clean, folder, base, kit=kit):
            for path in (folder / "data" / "tmp").glob("docker-builder*"):
                os.utime(path, (0, 0))  # the big file takes longer than a look back
            (outcome,) = perform(wanted, made.changes)
        assert (outcome.state, outcome.reason) == (State.SKIPPED, Reason.BUSY)
        assert clean.client.inspect_image("slow:1")
        clean.client.remove_image("slow:1")
        (change,) = plan(clean, wanted).changes
        assert perform(wanted, [change])[0].state is State.DONE


# Podman


@dataclass
class Podman:
    """podman's API on a socket, with stores of its own."""

    socket: str
    argv: tuple[str, ...]

    def __call__(self, *words: str) -> str:
        done = subprocess.run([*self.argv, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def podman() -> Iterator[Podman]:
    if shutil.which("podman") is None:
        pytest.skip("needs podman")
    place, everybody = Path(tempfile.mkdtemp(prefix="mb-podman-")), Path("/var/lib/containers")
    was_there = everybody.exists()  # what it remembers of blobs lies there whatever its stores are
    argv = ["podman", "--root", str(place / "root"), "--runroot", str(place / "run"), "--tmpdir", str(place / "tmp")]
    argv += ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--events-backend", "none"]
    made = Podman(str(place / "podman.sock"), tuple(argv))
    try:
        (place / "small.tar").write_bytes(root_file_system())
        made("import", str(place / "small.tar"), "small:1")
        with process([*argv, "system", "service", "--time=0", f"unix://{made.socket}"], place / "log"):
            wait_for(Path(made.socket).exists, "podman")
            yield made
    finally:
        made("rm", "--all", "--force", "--time=0")
        shutil.rmtree(place, ignore_errors=True)
        if not was_there:
            shutil.rmtree(everybody, ignore_errors=True)


@pytest.fixture
def asked(podman: Podman) -> Iterator[Daemon]:
    with contextlib.closing(docker.APIClient(f"unix://{podman.socket}", version="1.41")) as spoken:
        yield Daemon(podman.socket, 0, spoken, "")


class TestPodman:
    def test_its_images_and_volumes_are_counted_and_stay(self, podman: Podman, asked: Daemon) -> None:
        podman("create", "--name=made", "--network=none", "--volume=used:/data", "small:1", "/bin/true")
        podman("volume", "create", "named")
        podman("volume", "create", "0" * 64)
        podman("tag", "small:1", "registry.example/other:1")
        wanted = task(remove_dangling_volumes=True, volumes=("*",), sightings=1, build_cache=True, save_images=True)
        result = look(asked, wanted)
        assert (result.state, result.facts["engine"], result.facts["not_measured"]) == (State.DONE, "podman", [])
        made = plan(asked, wanted)
        assert made.facts["images"] == 1
        assert made.facts["containers"] == 1
        assert made.facts["volumes"] == {"total": 3, "unused": 2}
        assert not made.changes

    def test_an_image_without_a_container_stays_since_its_digest_proves_no_registry(self, asked: Daemon) -> None:
        made = plan(asked, task(save_images=True))
        assert (made.state, list(kept(made).values())) == (State.NOTHING, ["not_pullable"])

    def test_an_ended_container_that_is_named_goes_without_its_volumes(self, podman: Podman, asked: Daemon) -> None:
        more = ("--network=none", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")
        podman("run", "--name=job-ended", *more, "--volume=kept:/a", "--volume=/b", "small:1", "/bin/true")
        podman("run", "--name=other", *more, "small:1", "/bin/true")
        podman("run", "--name=job-alive", "--detach", *more, "small:1", "/bin/sleep", "1000")
        podman("create", "--name=job-created", "--network=none", "small:1", "/bin/true")
        before = podman("volume", "ls", "--quiet").split()
        assert len(before) == 2
        wanted = task(**JOBS)
        made = plan(asked, wanted)
        assert [change.name for change in made.changes] == ["job-ended"]
        assert [outcome.state for outcome in perform(wanted, made.changes)] == [State.DONE]
        assert set(podman("ps", "--all", "--format={{.Names}}").split()) == {"other", "job-alive", "job-created"}
        assert podman("volume", "ls", "--quiet").split() == before


ON_DEMAND = """
import json, select, socket, sys
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import containers as probe
from tests.integration import test_containers as real
held = socket.socket(socket.AF_UNIX)
held.bind(sys.argv[1])
held.listen()
daemon = real.Daemon(sys.argv[1], 0, None, "")
found = real.look(daemon, real.task(remove_unused_images=True))
knocked = bool(select.select([held], [], [], 0.5)[0])
print(json.dumps([found.state.value, found.reason.value, found.facts["sockets"][0]["held_by_systemd"], knocked]))
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
@pytest.mark.parametrize(
    ("name", "told"),
    [("podman.sock", ["skipped", "lacks", True, False]), ("docker.sock", ["unknown", "not_responding", True, False])],
)
def test_a_socket_that_process_one_holds_is_not_connected_to(tmp_path: Path, name: str, told: list[object]) -> None:
    """Process 1 of a namespace of its own holds the socket, as systemd does for a daemon that starts on demand."""
    place = Path(tempfile.mkdtemp(prefix="mb-held-"))
    try:
        argv = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", ON_DEMAND, str(place / name)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    finally:
        shutil.rmtree(place)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == told
