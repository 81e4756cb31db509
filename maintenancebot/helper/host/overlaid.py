"""Runs tools that write wherever they look, such as dnf, zypper and borg, with their folders covered by memory.

In a mount namespace of its own all file systems are read-only, and the folders that the tools write to get an overlay:
the tool reads what lies there, and what it writes is gone when it ends. No other process sees any of it.
"""

import os

from .. import frames
from . import facts, tools

FOLDERS = (
    "/var/cache/dnf",
    "/var/cache/libdnf5",
    "/var/lib/dnf",
    "/usr/lib/sysimage/libdnf5",
    "/var/lib/rpm",
    "/usr/lib/sysimage/rpm",
    "/var/cache/zypp",
    "/var/lib/zypp",
    "/etc/zypp",
    "/var/log",
    "/var/tmp",  # noqa: S108  covered, not used
    "/run",
    "/root",
)
SCRIPT = (
    'while [ "$1" != -- ]; do mount -o remount,bind,ro "$1" 2>/dev/null; shift; done; shift; '
    "mount -t tmpfs -o mode=1777 mb /tmp || exit 125; n=0; "
    'while [ "$1" != -- ]; do n=$((n+1)); mkdir -p "/tmp/.mb/$n/u" "/tmp/.mb/$n/w" && '
    'mount -t overlay -o "lowerdir=$1,upperdir=/tmp/.mb/$n/u,workdir=/tmp/.mb/$n/w" mb "$1" || exit 125; shift; done; '
    'shift; exec "$@"'
)
"""The one fixed text; folders and the program come as arguments."""

NOT_COVERED = 125


class CannotCover(Exception):
    """The host allows no mounts of its own to a process, as in an unprivileged container; nothing ran."""


def run(argv, folders=FOLDERS, **more):
    """`tools.run` with the folders covered; CannotCover when that is not possible, and without root."""
    unshare = tools.find("unshare")
    if os.geteuid() != 0:
        raise CannotCover("needs root")
    if unshare is None or tools.find("mount") is None:
        raise CannotCover("no unshare and mount (util-linux) on the host")
    there = [folder for folder in folders if os.path.isdir(folder) and not os.path.islink(folder)]
    covered = [unshare, "--mount", "--propagation", "private", "--", "/bin/sh", "-c", SCRIPT, "sh"]
    answer = tools.run([*covered, *file_systems(), "--", *there, "--", *argv], **more)
    if answer.code == NOT_COVERED or (answer.code == 1 and answer.stderr.startswith(b"unshare: ")):
        raise CannotCover("a private mount is not allowed: " + answer.error())
    return answer


def file_systems():
    """The mount points of real file systems; those that another machine answers for may hang and are not touched."""
    rows = facts.mount_table()
    skipped = (*facts.FOREIGN, *facts.PSEUDO)
    return sorted({frames.text(row["path"]) for row in rows if not row["type"].startswith(skipped)})
