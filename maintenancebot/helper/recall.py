"""Probe operation `recall`: what became of changes whose outcome was never recorded, by looking at the host."""

import importlib

from .results import Result, outcome

MODULES = {
    "compress_file": "trash",
    "quarantine_file": "trash",
    "rotate_log": "rotate",
    "drop_package_cache": "caches",
    "vacuum_journal": "journal",
    "restore_file": "trash",
    "purge_item": "trash",
    "relocate_item": "trash",
    "upgrade_package": "patches",
    "repair_packages": "repair",
    "reboot_host": "reboot",
    "renew_certificate": "certificates",
    "try_restore": "trial",
    "remove_image": "images",
    "remove_volume": "volumes",
    "remove_container": "leftovers",
    "remove_build_cache": "leftovers",
    "restore_volume": "trash",
    "restore_image": "trash",
    "correct_file": "correct",
    "correct_service": "correct",
    "correct_sysctl": "correct",
    "correct_keys": "correct",
    "correct_crontab": "correct",
    "correct_hold": "correct",
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
