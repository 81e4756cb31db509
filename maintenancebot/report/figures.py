"""Figures in words: counts, kinds of objects, sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from maintenancebot.model import Action, ChangeReport, Json, State
from maintenancebot.report.totals import number

NOUNS: dict[Action, tuple[str, str]] = {
    Action.REFRESH_PACKAGE_LISTS: ("renewal of package lists", "renewals of package lists"),
    Action.UPGRADE_PACKAGE: ("package", "packages"),
    Action.REPAIR_PACKAGES: ("repair of packages", "repairs of packages"),
    Action.REBOOT_HOST: ("reboot", "reboots"),
    Action.COMPRESS_FILE: ("file to compress", "files to compress"),
    Action.QUARANTINE_FILE: ("file to trash", "files to trash"),
    Action.ROTATE_LOG: ("log to rotate", "logs to rotate"),
    Action.RESTORE_FILE: ("file to restore", "files to restore"),
    Action.RELOCATE_ITEM: ("item to relocate", "items to relocate"),
    Action.PURGE_ITEM: ("item to purge", "items to purge"),
    Action.DROP_PACKAGE_CACHE: ("package cache to drop", "package caches to drop"),
    Action.VACUUM_JOURNAL: ("journal to vacuum", "journals to vacuum"),
    Action.REMOVE_IMAGE: ("image", "images"),
    Action.REMOVE_VOLUME: ("volume", "volumes"),
    Action.REMOVE_CONTAINER: ("container", "containers"),
    Action.REMOVE_BUILD_CACHE: ("build cache record", "build cache records"),
    Action.RESTORE_VOLUME: ("volume to restore", "volumes to restore"),
    Action.RESTORE_IMAGE: ("image to restore", "images to restore"),
    Action.TRY_RESTORE: ("trial restore", "trial restores"),
    Action.RENEW_CERTIFICATE: ("certificate", "certificates"),
    Action.CORRECT_FILE: ("file to correct", "files to correct"),
    Action.CORRECT_SERVICE: ("service to correct", "services to correct"),
    Action.CORRECT_SYSCTL: ("kernel setting to correct", "kernel settings to correct"),
    Action.CORRECT_KEYS: ("user's keys to correct", "users' keys to correct"),
    Action.CORRECT_CRONTAB: ("crontab to correct", "crontabs to correct"),
    Action.CORRECT_HOLD: ("hold to correct", "holds to correct"),
}
"""What one change and several changes of an action are called."""

MADE: dict[Action, tuple[str, str]] = {
    Action.REFRESH_PACKAGE_LISTS: ("package lists renewed", "package lists renewed"),
    Action.UPGRADE_PACKAGE: ("package upgraded", "packages upgraded"),
    Action.REPAIR_PACKAGES: ("repair of packages made", "repairs of packages made"),
    Action.REBOOT_HOST: ("host rebooted", "hosts rebooted"),
    Action.COMPRESS_FILE: ("file compressed", "files compressed"),
    Action.QUARANTINE_FILE: ("file moved to trash", "files moved to trash"),
    Action.ROTATE_LOG: ("log rotated", "logs rotated"),
    Action.RESTORE_FILE: ("file restored", "files restored"),
    Action.RELOCATE_ITEM: ("item relocated", "items relocated"),
    Action.PURGE_ITEM: ("item purged", "items purged"),
    Action.DROP_PACKAGE_CACHE: ("package cache dropped", "package caches dropped"),
    Action.VACUUM_JOURNAL: ("journal vacuumed", "journals vacuumed"),
    Action.REMOVE_IMAGE: ("image removed", "images removed"),
    Action.REMOVE_VOLUME: ("volume removed", "volumes removed"),
    Action.REMOVE_CONTAINER: ("container removed", "containers removed"),
    Action.REMOVE_BUILD_CACHE: ("build cache record removed", "build cache records removed"),
    Action.RESTORE_VOLUME: ("volume restored", "volumes restored"),
    Action.RESTORE_IMAGE: ("image restored", "images restored"),
    Action.TRY_RESTORE: ("trial restore made", "trial restores made"),
    Action.RENEW_CERTIFICATE: ("certificate renewed", "certificates renewed"),
    Action.CORRECT_FILE: ("file corrected", "files corrected"),
    Action.CORRECT_SERVICE: ("service corrected", "services corrected"),
    Action.CORRECT_SYSCTL: ("kernel setting corrected", "kernel settings corrected"),
    Action.CORRECT_KEYS: ("user's keys corrected", "users' keys corrected"),
    Action.CORRECT_CRONTAB: ("crontab corrected", "crontabs corrected"),
    Action.CORRECT_HOLD: ("hold corrected", "holds corrected"),
}
"""The same when it was done and measured."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def kinds(changes: Iterable[ChangeReport]) -> str:
    """How many objects of which kind: `3 packages, 1 image`; when all are done: `3 packages upgraded`."""
    listed = list(changes)
    nouns = MADE if all(change.state is State.DONE for change in listed) else NOUNS
    counted = Counter(change.change.action for change in listed)
    return ", ".join(
        f"{counted[action]:,} {nouns[action][counted[action] != 1]}" for action in Action if counted[action]
    )


def states(found: Iterable[State]) -> str:
    """How many of which state: `45 done, 2 unknown`."""
    counted = Counter(found)
    return ", ".join(f"{counted[state]:,} {state.value}" for state in State if counted[state])


def freed(figures: Mapping[str, Json]) -> str:
    """The space of `totals`, empty when there is none: measured as `freed`, expected as `would free`."""
    measured = _space(figures["freed_now"], figures["freed_at_purge"])
    expected = _space(figures["would_free_now"], figures["would_free_at_purge"])
    parts = (measured and f"freed {measured}", expected and f"would free {expected}")
    return ", ".join(part for part in parts if part)


def effects(report: ChangeReport) -> str:
    """The space that one change freed, or would free."""
    if report.state is State.DONE:
        space = _space(number(report.measured.get("freed_now")), number(report.measured.get("freed_at_purge")))
        return f"freed {space}" if space else ""
    if report.state in (State.PLANNED, State.WAITING):
        effect = report.change.effect
        space = _space(number(effect.get("freed_now")), number(effect.get("freed_at_purge")))
        return f"would free {space}" if space else ""
    return ""


def size(count: int) -> str:
    """Bytes for people: `1.5 GiB`."""
    power = min(max(abs(count).bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return f"{count} B" if power == 0 else f"{count / 1024**power:,.1f} {UNITS[power]}"


def _space(now: int, at_purge: int) -> str:
    if not now and not at_purge:
        return ""
    # Less free space than before is what was measured, too: the trash's own records, or somebody else's work.
    at_once = f"{size(now)} now" if now > 0 else f"nothing now ({size(-now)} more in use)" if now else "nothing now"
    return at_once + (f", {size(at_purge)} at purge" if at_purge else "")
