"""Chooses the images that may go. Pure. Each that stays has its reason; in doubt an image stays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from maintenancebot.model import Action, Change, Finding, Host, HostFacts, Json, Reason, Risk, State, Undo
from maintenancebot.plan.document import TaskPlan, make_change
from maintenancebot.plan.image_names import Names, full, repository
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask, Settings, Task

HOUR = 3600
FUTURE_SECONDS = 300  # a time this far ahead of the host's own clock is wrong
LISTED = 200  # objects that stay are listed up to this many, counted always
COMPOSE_LABEL = "com.docker.compose.project"
VOLUMES_STAY = "volumes are not removed yet: archiving them to the trash is not built"


@dataclass(frozen=True)
class Image:
    """An image as the daemon described it."""

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    created: float | None
    last_tagged: float | None
    size: int
    parent: str
    labels: Mapping[str, str]

    @property
    def name(self) -> str:
        """For people: the first tag, else repository and short id."""
        short = self.id.removeprefix("sha256:")[:12]
        if self.tags:
            return self.tags[0]
        return f"{self.digests[0].partition('@')[0]} ({short})" if self.digests else short


@dataclass(frozen=True)
class Stay:
    """Why an object stays."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class Scene:
    """All that the rules look at besides the image."""

    task: DockerPruneTask
    facts: Mapping[str, Json]
    clock: float  # the host's
    offset: float  # host's clock minus ours, in which sightings are counted
    running: Mapping[str, str]  # image id -> the container that was made from it
    named: Names
    newest: Mapping[str, str]  # image id -> the repository of which it is among the newest

    def arrived(self, image: Image) -> float | None:
        """When the image came to this host by the host's clock: its last tagging, else our first sighting of it."""
        if image.last_tagged is not None:
            return image.last_tagged
        sighting = self.facts.get("sightings", {}).get(image.id)
        return None if sighting is None else sighting["first_seen"] + self.offset


def plan(host: Host, task: Task, settings: Settings, facts: HostFacts, result: ProbeResult) -> TaskPlan:
    """Images that nothing uses or names, that are old enough here and that a registry gives back."""
    assert isinstance(task, DockerPruneTask)
    if result.state is not State.DONE:
        return TaskPlan(task.name, task.type, result.state, result.reason, result.detail, facts=_told(result.facts))
    if not result.facts.get("engine"):
        return TaskPlan(task.name, task.type, State.NOTHING, Reason.NOT_INSTALLED, _elsewhere(result.facts))
    images = [_image(finding) for finding in result.findings if finding.kind == "image"]
    volumes = _unused_volumes(result)
    report: dict[str, Json] = {
        **_told(result.facts),
        "images": len(images),
        "containers": sum(finding.kind == "container" for finding in result.findings),
        "volumes": {"total": sum(f.kind == "volume" for f in result.findings), "unused": len(volumes)},
    }
    if not (task.remove_unused_images or task.remove_dangling_volumes):
        return TaskPlan(task.name, task.type, State.NOTHING, Reason.NOT_CONFIGURED, "no removal is on", facts=report)
    stays: dict[str, Stay] = {}
    changes: tuple[Change, ...] = ()
    if task.remove_unused_images:
        stays = _stays(images, _scene(task, facts, images, result))
        going = children_first([image for image in images if image.id not in stays])
        changes = tuple(_change(host, task, image, result.facts) for image in going)
    kept = [(image.name, stays[image.id]) for image in images if image.id in stays]
    if task.remove_dangling_volumes:
        kept += [(f"volume {name}", Stay(Reason.KEPT, VOLUMES_STAY)) for name in volumes]
    report |= _kept_facts(kept)
    state, reason, detail = _verdict(facts, result, changes, kept, volumes if task.remove_dangling_volumes else [])
    return TaskPlan(task.name, task.type, state, reason, detail, changes, report)


def _by_container(image: Image, scene: Scene) -> Stay | None:
    user = scene.running.get(image.id)
    return Stay(Reason.IN_USE, user) if user else None


def _by_name(image: Image, scene: Scene) -> Stay | None:
    user = scene.named.user(image.id, image.tags, image.digests)
    return Stay(Reason.IN_USE, user) if user else None


def _by_project(image: Image, scene: Scene) -> Stay | None:
    project = image.labels.get(COMPOSE_LABEL)
    return Stay(Reason.IN_USE, f"compose project {project}") if project else None


def _by_label(image: Image, scene: Scene) -> Stay | None:
    for wanted in scene.task.keep_labels:
        key, equals, value = wanted.partition("=")
        if key in image.labels and (not equals or image.labels[key] == value):
            return Stay(Reason.KEPT, f"label {wanted}")
    return None


def _by_list(image: Image, scene: Scene) -> Stay | None:
    names = [form for name in (*image.tags, *image.digests) for form in (name, full(name), repository(name))]
    short = [name.partition("@")[0] for name in image.digests]
    for pattern in scene.task.keep_images:
        if any(fnmatchcase(name, pattern) for name in (*names, *short)):
            return Stay(Reason.KEPT, f"keep_images {pattern}")
    return None


def _by_newest(image: Image, scene: Scene) -> Stay | None:
    of = scene.newest.get(image.id)
    return Stay(Reason.KEPT, f"among the newest {scene.task.keep_newest} of {of}") if of else None


def _by_doubt(image: Image, scene: Scene) -> Stay | None:
    gaps = _gaps(scene.facts)
    return Stay(Reason.USE_UNKNOWN, gaps[0]) if gaps else None


def _by_origin(image: Image, scene: Scene) -> Stay | None:
    if not image.digests:
        return Stay(Reason.NOT_PULLABLE, "no registry knows it")
    if scene.facts["engine"] != "docker" or scene.facts.get("store") == "containerd":
        return Stay(Reason.NOT_PULLABLE, "this store gives every image a digest, so that no registry is proven")
    return None


def _by_age(image: Image, scene: Scene) -> Stay | None:
    arrived = scene.arrived(image)
    if arrived is None:
        return Stay(Reason.AGE_UNKNOWN, "the daemon does not tell when it came here")
    age = scene.clock - arrived
    if age < -FUTURE_SECONDS:
        return Stay(Reason.TIME_IMPLAUSIBLE, "it came here in the future, by the host's clock")
    if age < scene.task.min_age_hours * HOUR:
        return Stay(Reason.TOO_YOUNG, f"here for {max(0.0, age) / HOUR:.0f} h")
    return None


RULES: tuple[Callable[[Image, Scene], Stay | None], ...] = (
    _by_container,
    _by_name,
    _by_project,
    _by_label,
    _by_list,
    _by_newest,
    _by_doubt,
    _by_origin,
    _by_age,
)
"""The first that objects gives the reason; an image without an objection goes."""


def _stays(images: Sequence[Image], scene: Scene) -> dict[str, Stay]:
    """The images that stay: those a rule keeps, and the parents of those, which are parts of them."""
    stays: dict[str, Stay] = {}
    for image in images:
        objection = next((stay for rule in RULES if (stay := rule(image, scene)) is not None), None)
        if objection is not None:
            stays[image.id] = objection
    parents = {image.id: image.parent for image in images}
    names = {image.id: image.name for image in images}
    for kept in list(stays):
        above = parents.get(kept, "")
        while above in parents and above not in stays:
            stays[above] = Stay(Reason.IN_USE, f"{names[kept]} is built on it")
            above = parents[above]
    return stays


def children_first(images: Sequence[Image]) -> list[Image]:
    """The images in an order in which each one's children stand before it."""
    parents = {image.id: image.parent for image in images}

    def depth(image: Image) -> int:
        steps, above = 0, image.parent
        while above in parents and steps <= len(parents):
            steps, above = steps + 1, parents[above]
        return steps

    return sorted(images, key=lambda image: (-depth(image), image.name, image.id))


def _scene(task: DockerPruneTask, facts: HostFacts, images: Sequence[Image], result: ProbeResult) -> Scene:
    containers = [finding.data for finding in result.findings if finding.kind == "container"]
    made_from = {row["image_id"]: f"container {row['name']} ({row['state']})" for row in containers}
    bare = Scene(task, result.facts, facts.clock, facts.clock_offset, made_from, Names(_users(result)), {})
    newest = _newest(images, task.keep_newest, lambda image: bare.arrived(image) or image.created or 0.0)
    return Scene(task, bare.facts, bare.clock, bare.offset, made_from, bare.named, newest)


def _users(result: ProbeResult) -> Iterable[tuple[str, str]]:
    """Every name of an image that anything on the host mentions, with who mentions it."""
    for finding in result.findings:
        if finding.kind == "container" and finding.data["image"]:
            yield finding.data["image"], f"container {finding.data['name']} ({finding.data['state']})"
        elif finding.kind == "service":
            yield from ((name, f"swarm service {finding.subject}") for name in finding.data["images"])
        elif finding.kind == "image_reference":
            yield finding.subject, f"named in {finding.data['source']}"


def _newest(images: Sequence[Image], count: int, when: Callable[[Image], float]) -> dict[str, str]:
    """The newest images of each repository."""
    members: dict[str, list[Image]] = {}
    for image in images:
        for of in {repository(name) for name in (*image.tags, *image.digests)}:
            members.setdefault(of, []).append(image)
    found: dict[str, str] = {}
    for of, group in members.items():
        newest_first = sorted(group, key=lambda image: (when(image), image.created or 0.0), reverse=True)
        found.update((image.id, of) for image in newest_first[:count])
    return found


def _change(host: Host, task: DockerPruneTask, image: Image, facts: Mapping[str, Json]) -> Change:
    identity: dict[str, Json] = {
        "id": image.id,
        "tags": sorted(image.tags),
        "digests": sorted(image.digests),
        "size": image.size,
        "data_root": facts.get("data_root", ""),
        "socket": facts.get("socket", ""),
    }
    note = f"frees up to {image.size} bytes, less what it shares; undone by: docker pull {image.digests[0]}"
    return make_change(
        host.name,
        task.name,
        Action.REMOVE_IMAGE,
        name=image.name,
        identity=identity,
        undo=Undo.PULL,
        risk=Risk.MEDIUM,
        effect={"freed_at_most": image.size},
        note=f"{note}, as long as the registry has it",
    )


def _verdict(
    facts: HostFacts,
    result: ProbeResult,
    changes: Sequence[Change],
    kept: Sequence[tuple[str, Stay]],
    volumes: Sequence[str],
) -> tuple[State, Reason, str]:
    """The task's own state; that images stay because nobody could look for their users is said in the headline."""
    said = f"{len(volumes)} unused volumes stay: {VOLUMES_STAY}" if volumes else ""
    if changes:
        return State.PLANNED, Reason.NONE, said
    if any(stay.reason is Reason.USE_UNKNOWN for _, stay in kept):
        reason = Reason.USE_UNKNOWN if facts.is_root else Reason.NEEDS_ROOT
        return State.SKIPPED, reason, f"who uses the images cannot be seen: {_gaps(result.facts)[0]}"
    return State.NOTHING, Reason.UP_TO_DATE, said


def _gaps(facts: Mapping[str, Json]) -> list[str]:
    """What could not be looked at while users of images were searched."""
    unknown = [f"{path} names an image by a variable that is not set" for path in facts.get("unresolved", ())]
    return [*facts.get("gaps", ()), *unknown]


def _unused_volumes(result: ProbeResult) -> list[str]:
    """Volumes that no container of any state has and that nothing is mounted on, by our own count."""
    used = {name for f in result.findings if f.kind == "container" for name in f.data["volumes"]}
    mounted = tuple(result.facts.get("volume_mounts", ()))
    return sorted(
        finding.subject
        for finding in result.findings
        if finding.kind == "volume"
        and finding.subject not in used
        and not any(path.startswith(finding.data["mountpoint"]) for path in mounted)
    )


def _kept_facts(kept: Sequence[tuple[str, Stay]]) -> dict[str, Json]:
    return {
        "kept": dict(Counter(stay.reason.value for _, stay in kept)),
        "kept_objects": [
            {"object": name, "reason": stay.reason.value, "detail": stay.detail} for name, stay in kept[:LISTED]
        ],
    }


def _told(facts: Mapping[str, Json]) -> dict[str, Json]:
    """The facts that belong into a report."""
    told = (
        "engine",
        "version",
        "data_root",
        "driver",
        "store",
        "swarm",
        "file_system",
        "not_searched",
        "other_sockets",
    )
    return {key: facts[key] for key in told if facts.get(key)}


def _elsewhere(facts: Mapping[str, Json]) -> str:
    others = facts.get("other_sockets") or ()
    return f"daemons of single users are not looked into: {', '.join(others)}" if others else ""


def _image(finding: Finding) -> Image:
    data = finding.data
    return Image(
        id=data["id"],
        tags=tuple(data["tags"]),
        digests=tuple(data["digests"]),
        created=data["created"],
        last_tagged=data["last_tagged"],
        size=data["size"],
        parent=data["parent"],
        labels=data["labels"],
    )
