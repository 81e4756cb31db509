"""Logs that break when they are treated as plain files: they have methods of their own, or stay."""

import re

FOLDERS = (
    ("var", "log", "journal"),
    ("run", "log", "journal"),
    ("var", "log", "audit"),
    ("var", "log", "pods"),
    ("var", "log", "containers"),
)
"""journald, auditd, the kubelet."""

RECORDS = re.compile(r"^(wtmp|btmp|utmp|lastlog2?|faillog|tallylog|wtmpdb)([.-]([0-9.-]+|db))?(\.(gz|xz|zst|bz2))?$")
JOURNAL = re.compile(r"\.journal~?$")
CONTAINER_LOG = re.compile(r"^([0-9a-f]{64}-json\.log|container-cached\.log|local-logs)(\.[0-9]+)?(\.gz)?$")
FILE_SYSTEM = frozenset(["lost+found", "aquota.user", "aquota.group", "quota.user", "quota.group"])
OWN = (("var", "lib", "maintenancebot"),)
OWN_PREFIX = ".maintenancebot"


def reason(parts):
    """`own_file`, `protected` or an empty string for the components of a path."""
    if any(part.startswith(OWN_PREFIX) for part in parts) or _below(parts, OWN):
        return "own_file"
    name = parts[-1]
    if _below(parts, FOLDERS) or RECORDS.match(name) or JOURNAL.search(name) or CONTAINER_LOG.match(name):
        return "protected"
    return "protected" if FILE_SYSTEM.intersection(parts) else ""


def _below(parts, folders):
    return any(tuple(parts[: len(folder)]) == folder for folder in folders)
