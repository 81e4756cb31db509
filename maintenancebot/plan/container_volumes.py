"""Chooses the volumes that may go, by our own count of who uses them. Pure. A volume is data: in doubt it stays."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from maintenancebot.model import Action, Change, Host, Json, Reason, Risk, Undo
from maintenancebot.plan.container_stay import HOUR, Stay, kept_by_label
from maintenancebot.plan.document import make_change
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings import DockerPruneTask

NAMELESS = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Volume:
    """A volume as the daemon described it."""

    name: str
    mountpoint: str
    created: str
    driver: str
    options: Mapping[str, Json]
    labels: Mapping[str, str]
    size: int

    @property
    def identity(self) -> list[str]:
        """What tells it from another one of the same name."""
        return [self.mountpoint, self.created]


def volumes(result: ProbeResult) -> list[Volume]:
    """All that the daemon listed."""
    rows = [(finding.subject, finding.data) for finding in result.findings if finding.kind == "volume"]
    return [
        Volume(name, row["mountpoint"], row["created"], row["driver"], row["options"], row["labels"], int(row["size"]))
        for name, row in rows
    ]


def users(result: ProbeResult) -> dict[str, str]:
    """Volume -> who has it: a container of any state, a service, a mount, or a file of the host that names it."""
    found: dict[str, str] = {}
    named = [(f.subject, f.data["source"]) for f in result.findings if f.kind == "volume_reference"]
    exact = {name: source for name, source in named if "*" not in name}
    patterns = [(name, source) for name, source in named if "*" in name]
    for volume in volumes(result):
        user = _owner(volume, result) or _mount(volume, result.facts)
        if not user:
            by_pattern = (source for pattern, source in patterns if fnmatchcase(volume.name, pattern))
            source = exact.get(volume.name) or next(by_pattern, "")
            user = f"named in {source}" if source else ""
        if user:
            found[volume.name] = user
    return found


def _owner(volume: Volume, result: ProbeResult) -> str:
    for finding in result.findings:
        data = finding.data
        if finding.kind == "container":
            if volume.name in data["volumes"] or any(_is_below(path, volume) for path in data["binds"]):
                return f"container {data['name']} ({data['state']})"
        elif finding.kind == "service" and (
            volume.name in data["volumes"] or any(_is_below(path, volume) for path in data["volumes"])
        ):
            return f"swarm service {finding.subject}"
    return ""


def _is_below(path: str, volume: Volume) -> bool:
    return f"{path}/".startswith(f"{volume.mountpoint}/")


def _mount(volume: Volume, facts: Mapping[str, Json]) -> str:
    mounted = [path for path in facts.get("volume_mounts", ()) if _is_below(path, volume)]
    return f"mounted at {mounted[0]}" if mounted else ""


def gaps(facts: Mapping[str, Json]) -> list[str]:
    """What could not be looked at while users of volumes were searched."""
    worker = facts.get("swarm") not in (None, "", "inactive", "manager")
    blind = ["the services of its swarm cannot be seen from here"] if worker else []
    return [*facts.get("gaps", ()), *facts.get("unnamed_volumes", ()), *blind]


@dataclass(frozen=True)
class Chosen:
    """The volumes that go, and why each of the others stays."""

    going: Sequence[Volume]
    stays: Sequence[tuple[str, Stay]]


def choose(task: DockerPruneTask, result: ProbeResult, remembered: Mapping[str, Json], now: float) -> Chosen:
    """`remembered` are the rows with this look in them, `now` is the time by our own clock."""
    going: list[Volume] = []
    stays: list[tuple[str, Stay]] = []
    used = users(result)
    for volume in volumes(result):
        row = remembered.get(f"volume:{volume.name}")
        stay = _stay(volume, task, used, result.facts) or _by_time(task, row, now)
        if stay is None:
            going.append(volume)
        else:
            stays.append((f"volume {volume.name}", stay))
    return Chosen(going, stays)


def _stay(volume: Volume, task: DockerPruneTask, used: Mapping[str, str], facts: Mapping[str, Json]) -> Stay | None:
    """The first that objects gives the reason."""
    label = kept_by_label(volume.labels, task.keep_labels)
    blind = gaps(facts)
    if volume.name in used:
        return Stay(Reason.IN_USE, used[volume.name])
    if label is not None:
        return label
    if facts["engine"] != "docker":
        return Stay(Reason.KEPT, f"volumes of {facts['engine']} are only counted")
    if volume.driver != "local" or volume.options:
        return Stay(Reason.KEPT, f"only local volumes without options go, this is {volume.driver or 'odd'}")
    if not NAMELESS.fullmatch(volume.name) and not any(fnmatchcase(volume.name, glob) for glob in task.volumes):
        return Stay(Reason.KEPT, "it has a name, and task.volumes does not list it")
    return Stay(Reason.USE_UNKNOWN, blind[0]) if blind else None


def _by_time(task: DockerPruneTask, row: Json, now: float) -> Stay | None:
    if not row:
        return Stay(Reason.SEEN_TOO_SELDOM, f"unused at 0 of {task.sightings} looks")
    if row["looks"] < task.sightings:
        return Stay(Reason.SEEN_TOO_SELDOM, f"unused at {row['looks']} of {task.sightings} looks")
    if now - row["since"] < task.min_age_hours * HOUR:
        return Stay(Reason.TOO_YOUNG, f"unused for {max(0.0, now - row['since']) / HOUR:.0f} h")
    return None


def change(host: Host, task: str, volume: Volume, facts: Mapping[str, Json]) -> Change:
    """The change that archives a volume to the trash and then removes it."""
    identity: dict[str, Json] = {
        "volume": volume.name,
        "mountpoint": volume.mountpoint,
        "created": volume.created,
        "driver": volume.driver,
        "labels": dict(volume.labels),
        "size": volume.size,
        "data_root": facts.get("data_root", ""),
        "socket": facts.get("socket", ""),
    }
    return make_change(
        host.name,
        task,
        Action.REMOVE_VOLUME,
        name=volume.name,
        identity=identity,
        undo=Undo.TRASH,
        risk=Risk.MEDIUM,
        effect={"freed_at_most": volume.size},
        note="its data are archived in the host's trash first; undone by: trash restore",
    )
