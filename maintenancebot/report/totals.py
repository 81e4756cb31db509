"""The figures of a run: counted by code from what was measured, never worded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from maintenancebot.model import Action, ChangeReport, HostReport, Json, State

OBJECTS = {
    Action.UPGRADE_PACKAGE: "packages",
    Action.REPAIR_PACKAGES: "repairs",
    Action.REBOOT_HOST: "reboots",
    Action.COMPRESS_FILE: "files_compressed",
    Action.QUARANTINE_FILE: "files_to_trash",
    Action.ROTATE_LOG: "logs_rotated",
    Action.RESTORE_FILE: "files_restored",
    Action.RELOCATE_ITEM: "items_relocated",
    Action.PURGE_ITEM: "items_purged",
    Action.DROP_PACKAGE_CACHE: "package_caches",
    Action.VACUUM_JOURNAL: "journals",
    Action.REMOVE_IMAGE: "images",
    Action.REMOVE_VOLUME: "volumes",
    Action.REMOVE_CONTAINER: "containers",
    Action.REMOVE_BUILD_CACHE: "build_cache_records",
    Action.RESTORE_VOLUME: "volumes_restored",
    Action.RESTORE_IMAGE: "images_restored",
    Action.TRY_RESTORE: "trial_restores",
    Action.RENEW_CERTIFICATE: "certificates",
    Action.REFRESH_PACKAGE_LISTS: "package_lists",
    Action.CORRECT_FILE: "files_corrected",
    Action.CORRECT_SERVICE: "services_corrected",
    Action.CORRECT_SYSCTL: "kernel_settings_corrected",
    Action.CORRECT_KEYS: "keys_corrected",
    Action.CORRECT_CRONTAB: "crontabs_corrected",
    Action.CORRECT_HOLD: "holds_corrected",
}
"""What a made change of each action counts as."""


def totals(hosts: Sequence[HostReport]) -> dict[str, Json]:
    """The figures for all hosts.

    `freed_now` and `freed_at_purge` were measured on changes that are done; `would_free_now` and
    `would_free_at_purge` are expected of changes that are planned. A change without a figure counts as 0.
    """
    changes = [change for host in hosts for task in host.tasks for change in task.changes]
    done = [change for change in changes if change.state is State.DONE]
    planned = [change for change in changes if change.state is State.PLANNED]
    return {
        "hosts": _by_state(host.state for host in hosts),
        "tasks": _by_state(task.state for host in hosts for task in host.tasks),
        "changes": _by_state(change.state for change in changes),
        "freed_now": sum(number(change.measured.get("freed_now")) for change in done),
        "freed_at_purge": sum(number(change.measured.get("freed_at_purge")) for change in done),
        "would_free_now": sum(number(change.change.effect.get("freed_now")) for change in planned),
        "would_free_at_purge": sum(number(change.change.effect.get("freed_at_purge")) for change in planned),
        **objects([*done, *planned]),
    }


def objects(changes: Iterable[ChangeReport]) -> dict[str, int]:
    """How many objects of each kind these changes are about; every kind has a figure."""
    counted = Counter(OBJECTS[change.change.action] for change in changes)
    return {kind: counted[kind] for kind in OBJECTS.values()}


MOST = 2**63
"""No file system holds more bytes; a larger figure of a host is no figure."""


def number(value: Json) -> int:
    """A figure that came from a host: 0 unless it is a whole number that can be true."""
    return value if isinstance(value, int) and not isinstance(value, bool) and -MOST < value < MOST else 0


def _by_state(states: Iterable[State]) -> dict[str, int]:
    counted = Counter(states)
    return {state.value: counted[state] for state in State if counted[state]}
