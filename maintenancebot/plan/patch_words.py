"""What a plan of patches says to people: names, ways back, what is patched and not active yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from maintenancebot.model import Json, State
from maintenancebot.plan import reboots
from maintenancebot.plan.inputs import ProbeResult
from maintenancebot.settings.tasks import PackageUpdateTask, Reboot

NAMES_TOLD = 20
SCRIPTS = "maintainer scripts do not downgrade"
NEWLY_INSTALLED = "newly installed as a dependency; removing it is left to a person"
DISTRIBUTIONS = ("Debian", "Ubuntu")
WAYS_BACK = {
    "repository": "a repository has the old version",
    "cache": "apt's cache has the old version",
    "repacked": "the old version is packed again from the host",
}
FACTS = (
    *("manager", "lists_time", "lists_age_seconds", "refreshed", "other_updates", "interrupted", "broken", "stale"),
    *("module_streams", "without_errata", "known_bad"),
)
"""Facts of the probe that the report shows as they are."""


def words(update: Mapping[str, Json]) -> str:
    """An update that stays, with what stands in its way."""
    said = f"{update['name']} {update['installed']} -> {update['candidate']}"
    return said + (f" ({update['detail']})" if update["detail"] else "")


def listed(names: Sequence[str]) -> str:
    """Names in one line, cut where they are many."""
    more = len(names) - NAMES_TOLD
    return ", ".join(map(str, names[:NAMES_TOLD])) + (f" and {more} more" if more > 0 else "")


def source(updates: Sequence[Mapping[str, Json]]) -> str:
    """Which archive a package comes from, where that is not the distribution's own; its advisories."""
    origins = [origin for update in updates for origin in update.get("origins", ()) if origin.get("label") is not None]
    foreign = [f"{o['origin']} {o['label']}".strip() for o in origins if o["origin"] not in DISTRIBUTIONS]
    advisories = sorted({str(one) for update in updates for one in update.get("advisories", ())})
    parts = ["from " + ", ".join(dict.fromkeys(foreign))] if foreign else []
    return "; ".join(parts + ([", ".join(advisories[:3])] if advisories else []))


def way_back(task: PackageUpdateTask, package: Mapping[str, Json], manager: str) -> str:
    """How an upgrade could be taken back, and whether that is done without a person."""
    if not package["from"]:
        return NEWLY_INSTALLED
    if not task.rollback_on_failure:
        return SCRIPTS
    if manager != "apt":
        return f"no way back of ours with {manager}: not rolled back after a failed check"
    way = WAYS_BACK.get(str(package.get("way_back", "")))
    if way is None:
        return "no way back: no repository, cache or dpkg-repack gives the old version; not rolled back"
    return f"rolled back after a failed check unless it is never to be ({way}); {SCRIPTS}"


def asides(task: PackageUpdateTask, result: ProbeResult, packages: Sequence[Mapping[str, Json]]) -> list[str]:
    """What a person should know beside the changes: reboots, programs that still run the old version."""
    if result.state is not State.DONE:
        return []
    stale = list(map(str, result.facts.get("stale") or ()))
    told = [f"patched, not active: {listed(stale)}"] if stale else []
    told += [f"first: {task.snapshot_hook}"] if task.snapshot_hook and packages else []
    return [*filter(None, [reboots.words(task, result, packages)]), *told]


def facts(task: PackageUpdateTask, result: ProbeResult) -> dict[str, Json]:
    """The probe's facts for the report; a reboot is not even told where the task says `never`."""
    keys = FACTS if task.reboot is Reboot.NEVER else (*FACTS, "reboot")
    return {key: result.facts[key] for key in keys if key in result.facts}
