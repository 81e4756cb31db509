"""What the host is: identity, release, clock, mounts."""

import os
import platform
import shlex
import time

from .. import frames

PSEUDO = frozenset(
    [
        "proc",
        "sysfs",
        "devtmpfs",
        "devpts",
        "cgroup",
        "cgroup2",
        "securityfs",
        "debugfs",
        "tracefs",
        "pstore",
        "bpf",
        "mqueue",
        "hugetlbfs",
        "autofs",
        "configfs",
        "fusectl",
        "binfmt_misc",
        "ramfs",
        "nsfs",
        "rpc_pipefs",
        "efivarfs",
        "fuse.gvfsd-fuse",
        "fuse.portal",
    ]
)

FOREIGN = ("nfs", "cifs", "smb", "ceph", "glusterfs", "fuse", "9p", "afs", "lustre")
"""Kinds that another machine, or a user's process, answers for: it may never do so."""


def read_line(path):
    """First line of a small file, or an empty string when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return frames.text(stream.readline(4096).strip())
    except OSError:
        return ""


def machine_id():
    """The machine-id of systemd or D-Bus, which is the host's identity."""
    return read_line("/etc/machine-id") or read_line("/var/lib/dbus/machine-id")


def boot_id():
    """Changes with every boot."""
    return read_line("/proc/sys/kernel/random/boot_id")


def os_release():
    """The fields of os-release as a dict."""
    fields = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, "rb") as stream:
                lines = frames.text(stream.read(65536)).splitlines()
        except OSError:
            continue
        for line in lines:
            key, found, value = line.partition("=")
            if found:
                try:
                    fields[key.strip()] = "".join(shlex.split(value))
                except ValueError:
                    fields[key.strip()] = value
        break
    return fields


def unescape(field):
    """A field of mountinfo as bytes: octal escapes undone."""
    out, position = bytearray(), 0
    while position < len(field):
        if field[position : position + 1] == b"\\" and field[position + 1 : position + 4].isdigit():
            out.append(int(field[position + 1 : position + 4], 8))
            position += 4
        else:
            out += field[position : position + 1]
            position += 1
    return bytes(out)


def mount_table(pid="self"):
    """The rows of a process's mountinfo: dicts with id, parent, dev, root, path (bytes), type, device, options."""
    rows = []
    with open("/proc/%s/mountinfo" % pid, "rb") as stream:
        for line in stream:
            left, _, right = line.rstrip(b"\n").partition(b" - ")
            fields, tail = left.split(b" "), right.split(b" ")
            rows.append(
                {
                    "id": int(fields[0]),
                    "parent": int(fields[1]),
                    "dev": os.makedev(*map(int, fields[2].split(b":"))),
                    "root": unescape(fields[3]),
                    "path": unescape(fields[4]),
                    "options": fields[5].split(b","),
                    "type": frames.text(tail[0]),
                    "device": unescape(tail[1]),
                }
            )
    return rows


def mounts():
    """Sizes of the real file systems; a mount that cannot be asked is left out, those that may hang are not asked."""
    seen = {}
    for row in mount_table():
        kind = row["type"]
        if kind in PSEUDO or kind.startswith(FOREIGN):
            continue
        try:
            facts = os.statvfs(row["path"])
        except OSError:
            continue
        if not facts.f_blocks:
            continue
        seen[row["path"]] = {
            "path": frames.text(row["path"]),
            "device": frames.text(row["device"]),
            "fs_type": kind,
            "total": facts.f_blocks * facts.f_frsize,
            "available": facts.f_bavail * facts.f_frsize,
            "inodes": facts.f_files,
            "inodes_free": facts.f_favail,
            "read_only": b"ro" in row["options"],
        }
    return list(seen.values())


def collect():
    """All facts of the host, as the `facts` frame carries them."""
    release = os_release()
    return {
        "machine_id": machine_id(),
        "boot_id": boot_id(),
        "hostname": os.uname().nodename,
        "os_id": release.get("ID", ""),
        "os_version": release.get("VERSION_ID", ""),
        "kernel": os.uname().release,
        "python": platform.python_version(),
        "uid": os.geteuid(),
        "clock": time.time(),
        "mounts": mounts(),
        "missing": optional_missing(),
    }


def optional_missing():
    """Standard-library modules that single tasks need and this python3 lacks; found without importing them."""
    import importlib.util

    return [name for name in ("ssl", "ctypes", "tarfile", "bz2", "lzma") if importlib.util.find_spec(name) is None]
