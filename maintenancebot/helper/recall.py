"""Probe operation `recall`: what became of changes whose outcome was never recorded, by looking at the host."""

import importlib

from .results import Result, outcome

MODULES = {
    "compress_file": "trash.trash",
    "quarantine_file": "trash.trash",
    "rotate_log": "cleanup.rotate",
    "drop_package_cache": "cleanup.caches",
    "vacuum_journal": "cleanup.journal",
    "restore_file": "trash.trash",
    "purge_item": "trash.trash",
    "relocate_item": "trash.trash",
    "upgrade_package": "packages.patches",
    "repair_packages": "packages.repair",
    "reboot_host": "packages.reboot",
    "renew_certificate": "certificates.certificates",
    "try_restore": "backups.trial",
    "remove_image": "containers.images",
    "remove_volume": "containers.volumes",
    "remove_container": "containers.leftovers",
    "remove_build_cache": "containers.leftovers",
    "restore_volume": "trash.trash",
    "restore_image": "trash.trash",
    "correct_file": "drift.correct",
    "correct_service": "drift.correct",
    "correct_sysctl": "drift.correct",
    "correct_keys": "drift.correct",
    "correct_crontab": "drift.correct",
    "correct_hold": "drift.correct",
}
"""Action -> module with `recall(change)`, which reads only and returns an outcome."""


def probe(args, out):
    """Stream a finding `recall` for each of the changes, each {id, action, object}."""
    for change in args["changes"]:
        out.finding("recall", change["id"], **_recall(change))
    return Result()


def _recall(change):
    found = outcome(change["id"], "unknown", "unfinished", "the host cannot tell")
    name = MODULES.get(change["action"])
    if name is not None:
        try:
            function = getattr(importlib.import_module("." + name, __package__), "recall", None)
            found = function(change) if function is not None else found
        except Exception as error:
            found = outcome(change["id"], "unknown", "helper_error", "%s: %s" % (type(error).__name__, error))
    return {key: found[key] for key in ("state", "reason", "detail", "measured")}
