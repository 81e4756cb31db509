"""What earlier looks saw of images and volumes: since when they are here, last used, unused. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from maintenancebot.model import Json, State
from maintenancebot.plan import container_volumes
from maintenancebot.plan.inputs import ProbeResult

FACT = "remembered"


def learned(result: ProbeResult, known: Mapping[str, Json], at: float) -> dict[str, Json]:
    """The rows after a look: each image since when it was seen, each unused volume since when and how often in a row.

    A look that could not see everything breaks the count of the volumes, and forgets no image.
    """
    if result.state is not State.DONE or not result.facts.get("engine"):
        return {key: row for key, row in known.items() if key.startswith("image:")}
    return {**_images(result, known, at), **_volumes(result, known, at)}


def _images(result: ProbeResult, known: Mapping[str, Json], at: float) -> dict[str, Json]:
    """First seen, and last seen in use, 0 for never; by our own clock."""
    in_use = {finding.data["image_id"] for finding in result.findings if finding.kind == "container"}
    rows: dict[str, Json] = {}
    for finding in result.findings:
        if finding.kind == "image":
            row = known.get(f"image:{finding.subject}") or {"first": at, "used": 0.0}
            rows[f"image:{finding.subject}"] = {**row, "used": at} if finding.subject in in_use else dict(row)
    return rows


def _volumes(result: ProbeResult, known: Mapping[str, Json], at: float) -> dict[str, Json]:
    """Unused volumes; one that is used, gone, made again or touched in its top folder starts anew."""
    if container_volumes.gaps(result.facts):
        return {}
    users = container_volumes.users(result)
    rows: dict[str, Json] = {}
    for volume in container_volumes.volumes(result):
        if volume.name not in users:
            row = known.get(f"volume:{volume.name}") or {}
            same = row.get("is") == volume.identity
            since, looks = (row["since"], row["looks"]) if same else (at, 0)
            rows[f"volume:{volume.name}"] = {"is": volume.identity, "since": since, "looks": looks + 1}
    return rows
