"""A file system as its host measured it: what must be freed to get below a target, and what uses it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from maintenancebot.model import Json
from maintenancebot.plan.inputs import ProbeResult

SHOWN = 3
"""Users of the space of each kind that a sentence names."""

FIGURES = (
    "dev",
    "total",
    "used",
    "available",
    "percent",
    "inodes",
    "inodes_used",
    "inodes_available",
    "inode_percent",
)


@dataclass(frozen=True)
class Measure:
    """What statvfs told, in bytes and inodes; percent as df shows it."""

    dev: int
    total: int
    used: int
    available: int
    percent: int
    inodes: int
    inodes_used: int
    inodes_available: int
    inode_percent: int


@dataclass(frozen=True)
class Need:
    """What must go, and how much is available when it has gone; 0 where nothing must."""

    bytes: int
    inodes: int
    available: int

    def __bool__(self) -> bool:
        return self.bytes > 0 or self.inodes > 0


@dataclass(frozen=True)
class Disk:
    """One mounted file system of a host."""

    mount: str
    fs_type: str
    measure: Measure
    elsewhere: Measure | None = None  # the file system of `deletion.trash.elsewhere`
    users: Mapping[str, tuple[Mapping[str, Json], ...]] = field(default_factory=dict)  # kind -> rows, largest first
    partial: bool = False  # not all of it was seen


def read(result: ProbeResult) -> Disk:
    """The disk of an answer; raises KeyError, TypeError or ValueError when it is not as agreed."""
    users: dict[str, list[Mapping[str, Json]]] = {}
    for finding in result.findings:
        row = {**finding.data, "path": finding.subject, "bytes": _whole(finding.data["bytes"])}
        users.setdefault(finding.kind, []).append(row)
    facts, other = result.facts, result.facts.get("elsewhere")
    return Disk(
        mount=str(facts["mount"]),
        fs_type=str(facts["fs_type"]),
        measure=_measure(facts),
        elsewhere=_measure(other) if other else None,
        users={kind: tuple(rows) for kind, rows in users.items()},
        partial=bool(facts.get("partial")),
    )


def need(measure: Measure, target: int) -> Need:
    """What must be freed until df shows less than the target, with half a percent on top for those who write on."""
    whole, ceiling = _ceiling(measure, target)
    inode_whole = measure.inodes_used + measure.inodes_available
    inode_ceiling = inode_whole * (target - 1) // 100 - inode_whole // 200
    return Need(
        bytes=max(0, measure.used - ceiling) if measure.percent >= target else 0,
        inodes=max(0, measure.inodes_used - inode_ceiling) if measure.inode_percent >= target else 0,
        available=whole - ceiling,
    )


def room(measure: Measure, target: int) -> int:
    """Bytes that may be brought there until df would show the target."""
    return min(measure.available, max(0, _ceiling(measure, target)[1] - measure.used))


def _ceiling(measure: Measure, target: int) -> tuple[int, int]:
    whole = measure.used + measure.available
    if not measure.available:  # root is using what is kept back for it; how much that is, nobody tells
        whole = min(whole, measure.total - measure.total // 20)
    return whole, whole * (target - 1) // 100 - whole // 200


def told(disk: Disk) -> dict[str, Json]:
    """The disk for the facts of a report."""
    return {
        "mount": disk.mount,
        "fs_type": disk.fs_type,
        **{name: getattr(disk.measure, name) for name in FIGURES},
        "users": {kind: [dict(row) for row in rows] for kind, rows in disk.users.items()},
        "partial": disk.partial,
    }


def use(measure: Measure) -> str:
    """`95 %`, with the inodes where they are what is scarce."""
    inodes = measure.inode_percent > measure.percent
    return f"{measure.inode_percent} % of the inodes" if inodes else f"{measure.percent} %"


def occupants(disk: Disk) -> str:
    """What uses the space, in words: the largest folders, deleted files that are open, stores with their own ways."""
    parts = []
    for kind, words in (("directory", "most is in"), ("place", "of it"), ("file", "largest files")):
        rows = [f"{_named(row)} {size(row['bytes'])}" for row in disk.users.get(kind, ())[:SHOWN]]
        parts += [f"{words} {', '.join(rows)}"] if rows else []
    parts += [_held_open(row) for row in disk.users.get("deleted_open", ())[:SHOWN]]
    reserved = disk.measure.total - disk.measure.used - disk.measure.available
    parts += [f"{size(reserved)} are kept back for root"] if reserved > disk.measure.available else []
    parts += ["not all of it could be looked at"] if disk.partial else []
    return "; ".join(parts)


def _named(row: Mapping[str, Json]) -> str:
    """The path, and for a known store whose it is."""
    return f"{row['path']} ({row['name']})" if "name" in row else str(row["path"])


def size(count: int) -> str:
    """Bytes for people: `1.5 GiB`."""
    power = min(max(abs(count).bit_length() - 1, 0) // 10, 4)
    return f"{count} B" if power == 0 else f"{count / 1024**power:,.1f} {('B', 'KiB', 'MiB', 'GiB', 'TiB')[power]}"


def _held_open(row: Mapping[str, Json]) -> str:
    who = f"{row.get('process', '?')} ({row.get('pid', '?')})"
    return f"{size(row['bytes'])} of a deleted file that {who} has open: {row['path']}"


def _measure(facts: Mapping[str, Json]) -> Measure:
    return Measure(**{name: _whole(facts[name]) for name in FIGURES})


def _whole(value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no size")
    return value
