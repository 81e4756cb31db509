"""Samples of how full each mount was, kept at each look, so that it can be said how fast it fills up."""

from __future__ import annotations

from maintenancebot.engine.work import Work
from maintenancebot.model import Json
from maintenancebot.plan.document import HostPlan
from maintenancebot.policy import growth
from maintenancebot.policy.growth import Sample

KIND = "disk"
MOST_MOUNTS = 64
LAYERS = frozenset({"overlay", "aufs", "squashfs", "tmpfs", "iso9660", "erofs"})
"""File systems that lie in memory, on another one, or never change."""


def keep(plan: HostPlan, work: Work) -> None:
    """Remember how full a host's mounts were when it was looked at; raises StoreError."""
    found = {row["path"]: _sample(row, plan) for row in plan.facts.get("mounts", ()) if row["fs_type"] not in LAYERS}
    if not found:
        return
    known = work.memory.read(plan.host, KIND)
    rows: dict[str, Json] = {
        path: growth.with_sample(known.get(path), found[path]) for path in sorted(found)[:MOST_MOUNTS]
    }
    work.memory.keep(plan.host, KIND, rows)


def of(host: str, mount: str, work: Work) -> list[Sample]:
    """What is known of a mount, oldest first; raises StoreError."""
    return growth.samples(work.memory.read(host, KIND).get(mount))


def _sample(row: Json, plan: HostPlan) -> Sample:
    at = int(plan.probed_at.timestamp())
    return Sample(at, row["total"] - row["available"], row["total"], row["inodes"] - row["inodes_free"])
