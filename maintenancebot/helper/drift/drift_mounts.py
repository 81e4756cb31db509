"""Declared mounts: what is mounted where, of which kind, with which options. The mount itself is never touched."""

import os

from .. import frames, redact
from ..host import facts
from . import held_against

TABLE = "/proc/self/mounts"
FOLDERS = {"UUID": "by-uuid", "LABEL": "by-label", "PARTUUID": "by-partuuid", "PARTLABEL": "by-partlabel"}
OF_FSTAB = ("auto", "noauto", "defaults", "nofail", "_netdev", "user", "nouser", "users", "owner", "group")
"""Options that tell mount(8) or systemd what to do; the kernel does not have them."""
UNSAID = {
    "exec": "noexec",
    "suid": "nosuid",
    "dev": "nodev",
    "async": "sync",
    "atime": "noatime",
    "diratime": "nodiratime",
}
"""Options that the kernel does not show, and what it shows in their absence."""


def look(items, out=None):
    """See `drift.LOOKS`."""
    table = mounted()
    return [_compare(item["wanted"], table.get(frames.raw(item["name"]).rstrip(b"/") or b"/")) for item in items]


def mounted():
    """{mount point: {"device", "fs_type", "options"}}; the last one of a place is the one that is seen there."""
    table = {}
    with open(TABLE, "rb") as stream:
        for line in stream:
            fields = line.split(b" ")
            device, point, kind, options = (facts.unescape(field) for field in fields[:4])
            table[point] = {
                "device": frames.text(device),
                "fs_type": frames.text(kind),
                "options": redact.redact(frames.text(options)).split(","),
            }
    return table


def _compare(wanted, row):
    if row is None:
        return held_against.absent(wanted)
    if held_against.is_unwanted(wanted):
        return held_against.unexpected(dict(row, device=redact.redact(row["device"])))
    device, options = wanted.get("device"), wanted.get("options", [])
    is_same = bool(device) and _same_device(device, row["device"])
    row = dict(row, device=redact.redact(row["device"]))  # the address of some holds a password
    lacks = [option for option in options if not _has(row["options"], option)]
    found = {
        "state": held_against.PRESENT,
        "device": device if is_same else row["device"],
        "fs_type": row["fs_type"],
        "options": row["options"] if lacks else options,
    }
    return held_against.compared(wanted, found, row, "without %s" % ", ".join(lacks) if lacks else "")


def is_kept(option, options):
    """Whether an option of fstab is among those of a mount; one that is not the kernel's is none."""
    return option not in OF_FSTAB and not option.startswith(("x-", "comment=")) and option in options


def _has(options, wanted):
    if wanted in OF_FSTAB or wanted.startswith(("x-", "comment=")):
        return True
    return UNSAID[wanted] not in options if wanted in UNSAID else wanted in options


def _same_device(wanted, found):
    key, tagged, value = wanted.partition("=")
    if tagged and key in FOLDERS:
        wanted = "/dev/disk/%s/%s" % (FOLDERS[key], value.strip('"'))
    if wanted == found:
        return True
    return wanted.startswith("/dev/") and os.path.realpath(wanted) == os.path.realpath(found)
