"""Chooses the images that may go, and says why each other one stays. Pure; in doubt it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise

from maintenancebot.model import Action, Change, Finding, Host, HostFacts, Json, Reason, Risk, Undo
from maintenancebot.plan import container_memory as memory
from maintenancebot.plan.container_stay import HOUR, Part, Stay, kept_by_label
from maintenancebot.plan.document import make_change
from maintenancebot.plan.image_names import Names, full, repository
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask

FUTURE_SECONDS = 300  # a time this far ahead of the host's own clock is wrong
COMPOSE_LABEL = "com.docker.compose.project"
RUNNING = frozenset({"running", "restarting", "paused"})


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
class Scene:
    """All that the rules look at besides the image."""

    task: DockerPruneTask
    facts: Mapping[str, Json]
    clock: float  # the host's
    offset: float  # host's clock minus ours, in which sightings are counted
    running: Mapping[str, str]  # image id -> the container that was made from it
    named: Names
    newest: Mapping[str, str]  # image id -> the repository of which it is among the newest
    previous: Mapping[str, str]  # image id -> the running container whose image comes after it

    def arrived(self, image: Image) -> float | None:
        """When the image came to this host by the host's clock: its last tagging, else our first sighting of it."""
        row = self._row(image)
        if image.last_tagged is not None or row is None:
            return image.last_tagged
        return float(row["first"]) + self.offset

    def needed(self, image: Image) -> float | None:
        """When it came, or was last seen in use by a container, whichever is later."""
        arrived, row = self.arrived(image), self._row(image)
        used = float(row["used"]) + self.offset if row and row["used"] else None
        return max((at for at in (arrived, used) if at is not None), default=None) if arrived is not None else None

    def _row(self, image: Image) -> Json:
        return self.facts.get(memory.FACT, {}).get(f"image:{image.id}")


def images(result: ProbeResult) -> list[Image]:
    """The images that the daemon described."""
    return [_image(finding) for finding in result.findings if finding.kind == "image"]


def choose(host: Host, task: DockerPruneTask, facts: HostFacts, found: Sequence[Image], result: ProbeResult) -> Part:
    """The changes that remove what goes, and why the others stay."""
    stays = _stays(found, _scene(task, facts, found, result))
    going = children_first([image for image in found if image.id not in stays])
    kept = [(image.name, stays[image.id]) for image in found if image.id in stays]
    return [_change(host, task, image, result.facts) for image in going], kept


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
    return kept_by_label(image.labels, scene.task.keep_labels)


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


def _by_previous(image: Image, scene: Scene) -> Stay | None:
    after = scene.previous.get(image.id)
    return Stay(Reason.KEPT, f"the version before the one of container {after}") if after else None


def _by_doubt(image: Image, scene: Scene) -> Stay | None:
    found = gaps(scene.facts)
    return Stay(Reason.USE_UNKNOWN, found[0]) if found else None


def _by_origin(image: Image, scene: Scene) -> Stay | None:
    doubt = _not_pullable(image, scene.facts)
    can_save = scene.task.save_images and scene.facts["engine"] == "docker"
    return Stay(Reason.NOT_PULLABLE, doubt) if doubt and not can_save else None


def _not_pullable(image: Image, facts: Mapping[str, Json]) -> str:
    """Why no registry is known to give it back; empty when one does."""
    if not image.digests:
        return "no registry knows it"
    if facts["engine"] != "docker" or facts.get("store") == "containerd":
        return "this store gives every image a digest, so that no registry is proven"
    return ""


def _by_age(image: Image, scene: Scene) -> Stay | None:
    needed = scene.needed(image)
    if needed is None:
        return Stay(Reason.AGE_UNKNOWN, "the daemon does not tell when it came here")
    age = scene.clock - needed
    if age < -FUTURE_SECONDS:
        return Stay(Reason.TIME_IMPLAUSIBLE, "it came here in the future, by the host's clock")
    if age < scene.task.min_age_hours * HOUR:
        return Stay(Reason.TOO_YOUNG, f"came or was last used {max(0.0, age) / HOUR:.0f} h ago")
    return None


RULES: tuple[Callable[[Image, Scene], Stay | None], ...] = (
    _by_container,
    _by_name,
    _by_project,
    _by_label,
    _by_list,
    _by_newest,
    _by_previous,
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
    bare = Scene(task, result.facts, facts.clock, facts.clock_offset, made_from, Names(_users(result)), {}, {})

    def when(image: Image) -> float:
        return bare.arrived(image) or image.created or 0.0

    running = {row["image_id"]: row["name"] for row in containers if row["state"] in RUNNING}
    groups = _repositories(images, when)
    return replace(bare, newest=_newest(groups, task.keep_newest), previous=_previous(groups, running))


def _users(result: ProbeResult) -> Iterable[tuple[str, str]]:
    """Every name of an image that anything on the host mentions, with who mentions it."""
    for finding in result.findings:
        if finding.kind == "container" and finding.data["image"]:
            yield finding.data["image"], f"container {finding.data['name']} ({finding.data['state']})"
        elif finding.kind == "service":
            yield from ((name, f"swarm service {finding.subject}") for name in finding.data["images"])
        elif finding.kind == "image_reference":
            yield finding.subject, f"named in {finding.data['source']}"


def _repositories(images: Sequence[Image], when: Callable[[Image], float]) -> dict[str, list[Image]]:
    """The images of each repository, the newest first."""
    members: dict[str, list[Image]] = {}
    for image in images:
        for of in {repository(name) for name in (*image.tags, *image.digests)}:
            members.setdefault(of, []).append(image)
    for group in members.values():
        group.sort(key=lambda image: (when(image), image.created or 0.0), reverse=True)
    return members


def _newest(groups: Mapping[str, Sequence[Image]], count: int) -> dict[str, str]:
    """The newest images of each repository."""
    return {image.id: of for of, group in groups.items() for image in group[:count]}


def _previous(groups: Mapping[str, Sequence[Image]], running: Mapping[str, str]) -> dict[str, str]:
    """The image right before the one that a container runs: what a rollback would go back to."""
    found: dict[str, str] = {}
    for group in groups.values():
        for newer, older in pairwise(group):
            if newer.id in running:
                found[older.id] = running[newer.id]
    return found


def gaps(facts: Mapping[str, Json]) -> list[str]:
    """What could not be looked at while users of images were searched."""
    unknown = [f"{path} names an image by a variable that is not set" for path in facts.get("unresolved", ())]
    return [*facts.get("gaps", ()), *unknown]


def _change(host: Host, task: DockerPruneTask, image: Image, facts: Mapping[str, Json]) -> Change:
    identity: dict[str, Json] = {
        "id": image.id,
        "tags": sorted(image.tags),
        "digests": sorted(image.digests),
        "size": image.size,
        "data_root": facts.get("data_root", ""),
        "socket": facts.get("socket", ""),
    }
    saved = bool(_not_pullable(image, facts))
    if saved:
        identity["save"] = True
        how = "saved in the host's trash first; undone by: trash restore"
    else:
        how = f"undone by: docker pull {image.digests[0]}, as long as the registry has it"
    return make_change(
        host.name,
        task.name,
        Action.REMOVE_IMAGE,
        name=image.name,
        identity=identity,
        undo=Undo.TRASH if saved else Undo.PULL,
        risk=Risk.MEDIUM,
        effect={"freed_at_most": image.size},
        note=f"frees up to {image.size} bytes, less what it shares; {how}",
    )


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
