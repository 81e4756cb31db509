"""When the daemon is asked, when it must not be, and what its silence means."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping

import pytest

from maintenancebot.errors import RemoteError
from maintenancebot.model import Host, Json, Reason, State, TaskType
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.probes import containers
from maintenancebot.remote.local import LocalSession
from maintenancebot.settings import DockerPruneTask
from tests.fakes.daemon import VERSION, Answers, serving

TASK = DockerPruneTask(name="docker", type=TaskType.DOCKER_PRUNE, remove_unused_images=True)
HOST = Host("web-1", "192.0.2.1")


class Session:
    """Counts attempts to open a socket; each fails with the given reason."""

    host = HOST

    def __init__(self, reason: Reason = Reason.NOT_RESPONDING) -> None:
        self.opened: list[str] = []
        self._reason = reason

    def start_helper(self) -> object:
        raise AssertionError("the helper's execution is over")

    def open_unix(self, path: str, timeout: float) -> object:
        self.opened.append(path)
        raise RemoteError(self._reason, "no")

    def close(self) -> None:
        pass


def socket(path: str = "/run/docker.sock", **more: Json) -> dict[str, Json]:
    plain = {"path": path, "real": path, "exists": True, "is_socket": True, "access": True, "held_by_systemd": False}
    return {**plain, **more}


def complete(facts: Mapping[str, Json], session: Session | None = None) -> tuple[ProbeResult, list[str]]:
    used = session or Session()
    result = containers.complete(TASK, None, ProbeResult(State.DONE, facts=facts), used)  # type: ignore[arg-type]
    return result, used.opened


MISSING = socket(exists=False, is_socket=False, access=False)


@pytest.mark.parametrize(
    ("installed", "sockets", "daemons", "state", "reason"),
    [
        ({}, [MISSING], [], State.DONE, Reason.NONE),
        ({"docker": "/usr/bin/docker"}, [MISSING], [], State.DONE, Reason.NONE),
        ({"dockerd": "/usr/bin/dockerd"}, [MISSING], [], State.UNKNOWN, Reason.NOT_RESPONDING),
        ({"podman": "/usr/bin/podman"}, [MISSING], [], State.SKIPPED, Reason.LACKS),
        ({}, [socket(is_socket=False)], [], State.UNKNOWN, Reason.NOT_RESPONDING),
        ({}, [socket(access=False)], ["dockerd"], State.SKIPPED, Reason.NEEDS_ROOT),
        ({}, [socket(held_by_systemd=True)], [], State.UNKNOWN, Reason.NOT_RESPONDING),
        ({}, [socket(held_by_systemd=None)], [], State.SKIPPED, Reason.NEEDS_ROOT),
        ({}, [socket(held_by_systemd=None)], None, State.SKIPPED, Reason.NEEDS_ROOT),
        ({}, [socket(real="/run/podman/podman.sock", held_by_systemd=True)], [], State.SKIPPED, Reason.LACKS),
        (
            {},
            [socket("/run/podman/podman.sock", held_by_systemd=True)],
            ["dockerd", "podman"],
            State.SKIPPED,
            Reason.LACKS,
        ),
    ],
)
def test_no_connection_is_made(
    installed: Mapping[str, str],
    sockets: list[dict[str, Json]],
    daemons: list[str] | None,
    state: State,
    reason: Reason,
) -> None:
    result, opened = complete({"installed": installed, "sockets": sockets, "daemons": daemons})
    assert (result.state, result.reason, opened) == (state, reason, [])


@pytest.mark.parametrize(
    ("sockets", "daemons", "path"),
    [
        ([socket()], [], "/run/docker.sock"),
        ([socket(held_by_systemd=True)], ["dockerd"], "/run/docker.sock"),
        ([socket(held_by_systemd=None)], ["dockerd"], "/run/docker.sock"),
        ([MISSING, socket("/run/podman/podman.sock")], [], "/run/podman/podman.sock"),
        ([socket("/srv/docker.sock"), socket()], [], "/srv/docker.sock"),
    ],
)
def test_the_first_socket_is_asked(sockets: list[dict[str, Json]], daemons: list[str], path: str) -> None:
    result, opened = complete({"installed": {}, "sockets": sockets, "daemons": daemons})
    assert opened == [path]
    assert (result.state, result.reason) == (State.UNKNOWN, Reason.NOT_RESPONDING)


def test_a_login_that_may_not_open_the_socket_needs_root() -> None:
    session = Session(Reason.BECOME_REFUSED)
    result, _ = complete({"sockets": [socket()], "daemons": []}, session)
    assert (result.state, result.reason) == (State.SKIPPED, Reason.NEEDS_ROOT)


def test_a_probe_that_failed_on_the_host_is_left_as_it_is() -> None:
    failed = ProbeResult(State.UNKNOWN, Reason.HELPER_ERROR, "oops")
    session = Session()
    assert containers.complete(TASK, None, failed, session) is failed  # type: ignore[arg-type]
    assert session.opened == []


def test_the_configured_socket_is_looked_at_first() -> None:
    task = TASK.model_copy(update={"socket": "/srv/docker.sock"})
    asked = containers.request(task, None, HOST, refresh=False)  # type: ignore[arg-type]
    assert asked == {"sockets": ["/srv/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"]}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-21T10:53:09.647984499Z", 1795258389.647984),
        ("2026-11-21T12:53:09+02:00", 1795258389.0),
        ("0001-01-01T00:00:00Z", None),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("2026-11-21T10:53:09", None),
    ],
)
def test_a_time_that_the_daemon_does_not_have_is_none(moment: Json, expected: float | None) -> None:
    assert containers.epoch(moment) == expected


def test_sizes_of_stopped_containers_and_of_the_build_cache_are_read() -> None:
    path = tempfile.mkdtemp(prefix="mb-") + "/s"
    row = {
        "Id": "c1",
        "Names": ["/job-1"],
        "State": "exited",
        "Image": "a",
        "ImageID": "i",
        "SizeRw": 70,
        "Mounts": None,
    }
    record = {"ID": "r1", "Type": "regular", "Size": 9, "InUse": False, "LastUsedAt": "then", "Parents": ["r0"]}
    answers: Answers = {
        "/version": (200, VERSION),
        "/v1.50/info": (200, {"DockerRootDir": "/d", "Driver": "overlay2"}),
        "/v1.50/images/json": (200, []),
        "/v1.50/volumes": (
            200,
            {"Volumes": [{"Name": "v", "Driver": "local", "Mountpoint": "/d/v", "CreatedAt": "t"}]},
        ),
        "/v1.50/system/df": (200, {"BuildCache": [record], "Volumes": [{"Name": "v", "UsageData": {"Size": 5}}]}),
        "/v1.50/containers/json": (200, [row]),
        "/v1.50/containers/c1/json": (200, {"Name": "/job-1", "State": {"FinishedAt": "ended"}}),
    }
    task = TASK.model_copy(update={"stopped_containers": ("job-*",), "remove_dangling_volumes": True})
    facts = {"sockets": [socket(path)], "daemons": ["dockerd"]}
    with serving(path, answers):
        session = LocalSession(HOST, 5)
        result = containers.complete(task, None, ProbeResult(State.DONE, facts=facts), session)  # type: ignore[arg-type]
    found = {finding.kind: finding.data for finding in result.findings}
    assert (found["stopped"]["size"], found["stopped"]["finished"], found["stopped"]["id"]) == (70, "ended", "c1")
    assert (found["cache"]["size"], found["cache"]["parents"], found["volume"]["size"]) == (9, ["r0"], 5)
    assert result.facts["not_measured"] == []


def test_what_the_daemon_cannot_measure_is_told_and_spoils_nothing() -> None:
    path = tempfile.mkdtemp(prefix="mb-") + "/s"
    answers: Answers = {
        "/version": (200, VERSION),
        "/v1.50/info": (200, {"DockerRootDir": "/d"}),
        "/v1.50/images/json": (200, None),
        "/v1.50/volumes": (200, {"Volumes": None}),
        "/v1.50/system/df": (500, {"message": "a disk usage operation is already running"}),
        "/v1.50/containers/json": (200, []),
    }
    with serving(path, answers):
        facts = {"sockets": [socket(path)], "daemons": ["dockerd"]}
        session = LocalSession(HOST, 5)
        result = containers.complete(TASK, None, ProbeResult(State.DONE, facts=facts), session)  # type: ignore[arg-type]
    assert result.state is State.DONE
    assert result.facts["not_measured"] == [
        "sizes of volumes and build cache: a disk usage operation is already running"
    ]
