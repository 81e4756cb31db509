"""Containers: the helper tells what only the host knows; the daemon tells the rest through its socket. Read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from maintenancebot.errors import RemoteError
from maintenancebot.model import Finding, Host, Json, Reason, State
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.remote import docker_socket
from maintenancebot.remote.docker_socket import TYPED_USAGE_API, Docker
from maintenancebot.remote.session import Session
from maintenancebot.settings import DockerPruneTask, Settings, Task

OP = "containers"
FALLBACKS = ("/var/run/docker.sock", "/run/podman/podman.sock")
IMAGES_CAP = 3000
DEADLINE_SECONDS = 120

_NO_ROOT = frozenset({Reason.BECOME_REFUSED, Reason.BECOME_PASSWORD, Reason.BECOME_TTY, Reason.BECOME_MISSING})
_UNSET_YEAR = 2000  # the daemon writes year 1 for a time it does not have


def request(task: Task, settings: Settings, host: Host, *, refresh: bool) -> Mapping[str, Json] | None:
    """The sockets to look at, the configured one first."""
    return {"sockets": [_own(task).socket, *FALLBACKS]}


def complete(task: Task, settings: Settings, result: ProbeResult, session: Session) -> ProbeResult:
    """The result with all that the daemon tells; a host without a daemon costs nothing more."""
    if result.state is not State.DONE:
        return result
    sockets = [socket for socket in result.facts.get("sockets", ()) if socket["is_socket"]]
    if not sockets:
        return _without_socket(result)
    objection = _objection(sockets[0], result.facts)
    if objection is not None:
        return replace(result, state=objection[0], reason=objection[1], detail=objection[2])
    path = sockets[0]["path"]
    try:
        with docker_socket.connect(session, path, deadline=DEADLINE_SECONDS) as daemon:
            findings, facts = _read(_own(task), daemon)
    except RemoteError as error:
        state, reason = _failure(error.reason)
        return replace(result, state=state, reason=reason, detail=f"{path}: {error}")
    facts["gaps"] = [*result.facts.get("gaps", ()), *facts["gaps"]]
    return replace(result, findings=result.findings + findings, facts={**result.facts, **facts, "socket": path})


def _own(task: Task) -> DockerPruneTask:
    assert isinstance(task, DockerPruneTask)
    return task


def _without_socket(result: ProbeResult) -> ProbeResult:
    """No socket: nothing is installed, or what is installed does not serve one."""
    installed = result.facts.get("installed", {})
    at_path = [socket["path"] for socket in result.facts.get("sockets", ()) if socket["exists"]]
    if at_path:
        return replace(
            result, state=State.UNKNOWN, reason=Reason.NOT_RESPONDING, detail=f"{at_path[0]} cannot be used as a socket"
        )
    if "dockerd" in installed:
        detail = "docker is installed and has no socket: its daemon is stopped, or listens elsewhere"
        return replace(result, state=State.UNKNOWN, reason=Reason.NOT_RESPONDING, detail=detail)
    if "podman" in installed:
        detail = "podman keeps no API running here, and none is started for a look"
        return replace(result, state=State.SKIPPED, reason=Reason.LACKS, detail=detail)
    return result


def _objection(socket: Mapping[str, Json], facts: Mapping[str, Json]) -> tuple[State, Reason, str] | None:
    """Why the socket is not connected to; connecting to one that systemd holds would start the daemon."""
    path = socket["path"]
    if not socket["access"]:
        return State.SKIPPED, Reason.NEEDS_ROOT, f"{path} may not be opened by this login"
    daemons = facts.get("daemons")
    if daemons is not None and "dockerd" in daemons and "podman" not in path:
        return None
    if socket["held_by_systemd"] is None:
        return State.SKIPPED, Reason.NEEDS_ROOT, f"whether a daemon runs behind {path} can only be seen as root"
    if not socket["held_by_systemd"]:
        return None
    if "podman" in socket["real"]:
        return State.SKIPPED, Reason.LACKS, "podman's API runs on demand only, and is not started for a look"
    detail = "the daemon is stopped; it would start on the first connection, so none was made"
    return State.UNKNOWN, Reason.NOT_RESPONDING, detail


def _failure(reason: Reason) -> tuple[State, Reason]:
    """A socket that this login cannot open is left alone; a daemon that does not answer properly is unknown."""
    if reason in _NO_ROOT:
        return State.SKIPPED, Reason.NEEDS_ROOT
    return (State.SKIPPED if reason is Reason.LACKS else State.UNKNOWN), reason


def _read(task: DockerPruneTask, daemon: Docker) -> tuple[tuple[Finding, ...], dict[str, Json]]:
    """Images and volumes first, their users last: one that appears meanwhile is seen."""
    name, troubles = task.name, list[str]()
    info = daemon.info()
    swarm = info.get("Swarm") or {}
    manager = bool(swarm.get("ControlAvailable"))
    listed = daemon.images()
    usage = _usage(task, daemon, troubles)
    sizes = {row.get("Name"): (row.get("UsageData") or {}).get("Size") for row in usage.get("Volumes") or ()}
    findings = [Finding(name, "image", image["id"], image) for image in _images(daemon, listed[:IMAGES_CAP])]
    findings += [Finding(name, "volume", row.get("Name", ""), _volume(row, sizes)) for row in daemon.volumes()]
    findings += [Finding(name, "cache", _text(row.get("ID")), _record(row)) for row in usage.get("BuildCache") or ()]
    findings += [Finding(name, "stopped", row["id"], row) for row in _stopped(task, daemon, troubles)]
    findings += [Finding(name, "container", row.get("Id", ""), _container(row)) for row in daemon.containers()]
    if manager:
        findings += [Finding(name, "service", *_service(row)) for row in daemon.services()]
    return tuple(findings), {
        "engine": daemon.engine,
        "version": daemon.version,
        "data_root": info.get("DockerRootDir", ""),
        "driver": info.get("Driver", ""),
        "store": "containerd" if "io.containerd" in str(info.get("DriverStatus")) else "classic",
        "swarm": "manager" if manager else swarm.get("LocalNodeState") or "inactive",
        "gaps": [f"more than {IMAGES_CAP} images"] if len(listed) > IMAGES_CAP else [],
        "not_measured": troubles,
    }


def _usage(task: DockerPruneTask, daemon: Docker, troubles: list[str]) -> dict[str, Json]:
    """What the daemon tells of sizes; an old one, which walks everything for it, is asked only when it matters."""
    if daemon.api < TYPED_USAGE_API and not (task.build_cache or task.remove_dangling_volumes):
        return {}
    try:
        return daemon.usage("build-cache", *(["volume"] if task.remove_dangling_volumes else []))
    except RemoteError as error:
        troubles.append(f"sizes of volumes and build cache: {error}")
        return {}


def _stopped(task: DockerPruneTask, daemon: Docker, troubles: list[str]) -> list[dict[str, Json]]:
    """The containers that do not run, with their sizes; since when, for those that the task names."""
    try:
        return [_stopped_one(task, daemon, row) for row in daemon.stopped()]
    except RemoteError as error:
        troubles.append(f"stopped containers: {error}")
        return []


def _stopped_one(task: DockerPruneTask, daemon: Docker, row: Mapping[str, Json]) -> dict[str, Json]:
    found = {**_container(row), "id": _text(row.get("Id")), "size": int(row.get("SizeRw") or 0)}
    if any(fnmatchcase(found["name"], pattern) for pattern in task.stopped_containers):
        about = daemon.container(found["id"])
        finished = (about.get("State") or {}).get("FinishedAt")
        found |= {"finished": str(finished or ""), "ended": epoch(finished), "full_name": about.get("Name")}
    return found


def _images(daemon: Docker, listed: list[dict[str, Json]]) -> Iterator[dict[str, Json]]:
    for row in listed:
        try:
            yield _image(daemon.image(_text(row.get("Id"))))
        except RemoteError as error:
            if error.reason is not Reason.VANISHED:
                raise


def _image(about: Mapping[str, Json]) -> dict[str, Json]:
    config = about.get("Config") or {}
    return {
        "id": _text(about.get("Id")),
        "tags": sorted(_names(about.get("RepoTags"))),
        "digests": sorted(_names(about.get("RepoDigests"))),
        "created": epoch(about.get("Created")),
        "last_tagged": epoch((about.get("Metadata") or {}).get("LastTagTime")),
        "size": int(about.get("Size") or 0),
        "parent": about.get("Parent") or "",
        "labels": dict(config.get("Labels") or {}),
    }


def _container(row: Mapping[str, Json]) -> dict[str, Json]:
    mounts = row.get("Mounts") or ()
    return {
        "name": next(iter(row.get("Names") or ()), _text(row.get("Id"))[:12]).lstrip("/"),
        "state": row.get("State", ""),
        "image": row.get("Image", ""),
        "image_id": row.get("ImageID", ""),
        "volumes": [mount.get("Name") for mount in mounts if mount.get("Type") == "volume"],
        "binds": [mount.get("Source") for mount in mounts if mount.get("Type") == "bind"],
        "labels": dict(row.get("Labels") or {}),
    }


def _volume(row: Mapping[str, Json], sizes: Mapping[Json, Json]) -> dict[str, Json]:
    return {
        "driver": row.get("Driver", ""),
        "mountpoint": row.get("Mountpoint", ""),
        "labels": dict(row.get("Labels") or {}),
        "options": dict(row.get("Options") or {}),
        "created": str(row.get("CreatedAt") or ""),
        "size": max(0, int(sizes.get(row.get("Name")) or 0)),
    }


def _record(row: Mapping[str, Json]) -> dict[str, Json]:
    """A record of the build cache; its parents are one in old versions of the API, and several in newer ones."""
    parents = row.get("Parents") or ([row["Parent"]] if row.get("Parent") else [])
    return {
        "kind": str(row.get("Type") or ""),
        "size": int(row.get("Size") or 0),
        "in_use": bool(row.get("InUse")),
        "shared": bool(row.get("Shared")),
        "last_used": row.get("LastUsedAt"),
        "idle_since": epoch(row.get("LastUsedAt") or row.get("CreatedAt")),
        "parents": list(parents),
    }


def _service(row: Mapping[str, Json]) -> tuple[str, dict[str, Json]]:
    """A service's image and volumes, and those that a rollback would go back to."""
    images, volumes = list[Json](), list[Json]()
    for key in ("Spec", "PreviousSpec"):
        template = (row.get(key) or {}).get("TaskTemplate") or {}
        spec = template.get("ContainerSpec") or {}
        images.append(spec.get("Image"))
        volumes += [mount.get("Source") for mount in spec.get("Mounts") or ()]
    found = {"images": [name for name in images if name], "volumes": [name for name in volumes if name]}
    return _text((row.get("Spec") or {}).get("Name") or row.get("ID")), found


def _names(names: Json) -> list[str]:
    """Real names only: `<none>` stands for none, and any list may be null."""
    return [name for name in names or () if "<none>" not in name]


def epoch(moment: Json) -> float | None:
    """A time of the daemon in seconds since the epoch; None when it has none."""
    convert: Callable[[Any], datetime] = datetime.fromisoformat
    try:
        at = convert(moment)
        return at.timestamp() if at.year >= _UNSET_YEAR and at.tzinfo is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def _text(value: Json) -> str:
    if not isinstance(value, str) or not value:
        raise RemoteError(Reason.GARBLED, "the daemon names an object without an id")
    return value
