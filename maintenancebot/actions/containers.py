"""Removes single images: looked at again right before, by id, never by force; gone is what the daemon then denies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.errors import RemoteError
from maintenancebot.model import Change, Json, Outcome, Reason, State, Step
from maintenancebot.remote import docker_socket
from maintenancebot.remote.docker_socket import Docker
from maintenancebot.remote.session import Session
from maintenancebot.settings import Settings, Task

OP = "containers.remove_image"
TIMEOUT_SECONDS = 120  # large images take a while to remove
DEADLINE_SECONDS = 600
MEASURED_BY = "the daemon's count of all layers, before and after"


def steps(task: Task, settings: Settings, changes: Sequence[Change]) -> list[Step]:
    """One step for each image, in the plan's order: children stand before parents."""
    return [Step(f"{OP}:{change.id}", task.name, OP, (change,), on_controller=True) for change in changes]


def outcomes(step: Step, raw: Sequence[Mapping[str, Json]]) -> list[Outcome]:
    """The helper has no part in this, so whatever it answers proves nothing."""
    return [
        Outcome(change.id, State.UNKNOWN, Reason.INTERNAL_ERROR, "not a step of the helper") for change in step.changes
    ]


def perform(step: Step, session: Session) -> list[Outcome]:
    """Remove the step's images; what cannot be found out is unknown, nothing is raised."""
    return [_perform(change, session) for change in step.changes]


def _perform(change: Change, session: Session) -> Outcome:
    path = str(change.object["socket"])
    try:
        with docker_socket.connect(session, path, timeout=TIMEOUT_SECONDS, deadline=DEADLINE_SECONDS) as daemon:
            return _objection(daemon, change) or _remove(daemon, change)
    except RemoteError as error:
        return Outcome(change.id, State.UNKNOWN, error.reason, f"{path}: {error}")


def _objection(daemon: Docker, change: Change) -> Outcome | None:
    """Why the image is left alone now: not the one that the plan names any more, or somebody uses it."""
    wanted = change.object
    try:
        now = daemon.image(wanted["id"])
    except RemoteError as error:
        if error.reason is not Reason.VANISHED:
            raise
        return Outcome(change.id, State.NOTHING, Reason.ALREADY_GONE)
    info = daemon.info()
    changed = _difference(wanted, now, info)
    if changed:
        return Outcome(change.id, State.SKIPPED, Reason.CHANGED_SINCE, changed)
    user = _user(daemon, wanted["id"], info)
    return Outcome(change.id, State.SKIPPED, Reason.IN_USE, user) if user else None


def _difference(wanted: Mapping[str, Json], now: Mapping[str, Json], info: Mapping[str, Json]) -> str:
    if now.get("Id") != wanted["id"]:
        return "another image answers to the id"
    if info.get("DockerRootDir", "") != wanted["data_root"]:
        return "the daemon has another data root"
    for key, field in (("tags", "RepoTags"), ("digests", "RepoDigests")):
        names = sorted(name for name in now.get(field) or () if "<none>" not in name)
        if names != wanted[key]:
            return f"its {key} are now: {', '.join(names) or 'none'}"
    return "" if now.get("Size") == wanted["size"] else "it has another size"


def _user(daemon: Docker, identity: str, info: Mapping[str, Json]) -> str:
    """A container of any state, a child image or a swarm service that has the image; empty when none has."""
    for row in daemon.containers():
        if row.get("ImageID") == identity:
            return f"container {', '.join(row.get('Names') or [])} ({row.get('State')})"
    for row in daemon.images():
        if row.get("ParentId") == identity:
            return f"image {str(row.get('Id'))[:19]} is built on it"
    if (info.get("Swarm") or {}).get("ControlAvailable"):
        for row in daemon.services():
            if identity in (_id_of(daemon, name) for name in _service_images(row)):
                return f"swarm service {(row.get('Spec') or {}).get('Name')}"
    return ""


def _service_images(row: Mapping[str, Json]) -> list[str]:
    specs = ((row.get(key) or {}).get("TaskTemplate") or {} for key in ("Spec", "PreviousSpec"))
    images = ((spec.get("ContainerSpec") or {}).get("Image") for spec in specs)
    return [name for name in images if name]


def _id_of(daemon: Docker, name: str) -> str:
    """The id that a name leads to now, empty when it leads nowhere."""
    try:
        return str(daemon.image(name).get("Id"))
    except RemoteError as error:
        if error.reason is not Reason.VANISHED:
            raise
        return ""


def _remove(daemon: Docker, change: Change) -> Outcome:
    identity = str(change.object["id"])
    before = _layers(daemon)
    taken: list[str] = []
    try:
        for name in _further_names(change.object):
            if _id_of(daemon, name) != identity:
                return _left(daemon, change, taken, Reason.CHANGED_SINCE, f"{name} is another image now")
            daemon.remove_image(name)
            taken.append(name)
        daemon.remove_image(identity)
    except RemoteError as error:
        if error.reason is Reason.VANISHED:
            return Outcome(change.id, State.NOTHING, Reason.ALREADY_GONE)
        if error.reason is Reason.IN_USE:
            return _left(daemon, change, taken, Reason.IN_USE, str(error))
        raise
    if _id_of(daemon, identity):
        return Outcome(change.id, State.FAILED, Reason.TOOL_FAILED, "the daemon removed it, and still has it")
    return Outcome(change.id, State.DONE, Reason.VERIFIED, measured=_freed(before, daemon))


def _further_names(identity: Mapping[str, Json]) -> list[str]:
    """The names that must go first: without force the daemon removes by id only one tag with its digests."""
    tags, digests = list(identity["tags"]), list(identity["digests"])
    last = _repository((tags or digests)[0]) if tags or digests else ""
    return tags[1:] + [name for name in digests if _repository(name) not in {last, *map(_repository, tags[1:])}]


def _repository(name: str) -> str:
    head, slash, last = name.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]


def _left(daemon: Docker, change: Change, taken: Sequence[str], reason: Reason, detail: str) -> Outcome:
    """The image stays, with the names it had; names that another image got meanwhile stay with that one."""
    for name in taken:
        repository = _repository(name)
        if "@" not in name and not _id_of(daemon, name):
            daemon.tag(str(change.object["id"]), repository, name.removeprefix(f"{repository}:"))
    return Outcome(change.id, State.SKIPPED, reason, detail)


def _layers(daemon: Docker) -> int | None:
    """Bytes of all layers, None when the daemon does not tell."""
    try:
        return daemon.layers_size()
    except RemoteError:
        return None


def _freed(before: int | None, daemon: Docker) -> dict[str, Json]:
    after = _layers(daemon) if before is not None else None
    if before is None or after is None:
        return {"measured_by": "not measured: the daemon does not tell the size of its layers"}
    return {"freed_now": max(0, before - after), "measured_by": MEASURED_BY}
