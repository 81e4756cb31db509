"""Patched on disk, old in memory: does the host need a reboot, and which processes run on deleted files."""

import os

from .. import frames
from ..host import facts
from . import dpkg

REBOOT_FILE = "/run/reboot-required"
KERNEL_PREFIX = "vmlinuz-"
DELETED = b" (deleted)"
PROGRAM_FOLDERS = (b"/usr/", b"/lib", b"/bin/", b"/sbin/", b"/opt/")


def reboot(running=None, boot="/boot", flag=REBOOT_FILE):
    """{"required": True, False or None when no signal is there, "signals": what says so, "running", "newest"}."""
    running = running or os.uname().release
    newest = newest_kernel(running, boot)
    signals = []
    if os.path.exists(flag):
        signals.append("reboot-required: " + (", ".join(named_packages(flag + ".pkgs")) or "no package named"))
    if newest and newest != running:
        signals.append("kernel %s is installed, %s runs" % (newest, running))
    required = True if signals else False if newest else None
    return {"required": required, "signals": signals, "running": running, "newest": newest}


def named_packages(path):
    """The packages that asked for a reboot."""
    try:
        with open(path, "rb") as stream:
            return sorted(set(frames.text(stream.read(65536)).split()))[: dpkg.TOLD]
    except OSError:
        return []


def newest_kernel(running, boot):
    """The newest bootable kernel of the running one's flavour, empty when there is none."""
    try:
        names = os.listdir(boot)
    except OSError:
        return ""
    newest = ""
    for name in names:
        release = name[len(KERNEL_PREFIX) :]
        if not name.startswith(KERNEL_PREFIX) or split_release(release)[1] != split_release(running)[1]:
            continue
        if not newest or dpkg.compare(split_release(release)[0], split_release(newest)[0]) > 0:
            newest = release
    return newest


def split_release(release):
    """Version and flavour of a kernel: ("6.1.0-18", "cloud-amd64")."""
    parts = release.split("-")
    number = next((n for n, part in enumerate(parts) if n and not part[:1].isdigit()), len(parts))
    return "-".join(parts[:number]), "-".join(parts[number:])


def outdated():
    """Processes that run program files or libraries which were replaced: `name (pid N, unit) uses library`."""
    found = []
    own = own_login()
    for entry in os.listdir("/proc"):
        if entry.isdigit() and entry not in own:
            path = deleted_code("/proc/" + entry)
            if path:
                found.append(described(entry, path))
    return sorted(found)[: dpkg.TOLD]


def described(pid, path):
    """One such process in words."""
    where = ", ".join(filter(None, ["pid " + pid, unit_of("/proc/" + pid)]))
    return "%s (%s) uses the old %s" % (facts.read_line("/proc/%s/comm" % pid), where, os.path.basename(path))


def unit_of(process):
    """The systemd unit that a process belongs to, empty when none can be told."""
    try:
        with open(process + "/cgroup", "rb") as stream:
            lines = frames.text(stream.read(65536)).splitlines()
    except OSError:
        return ""
    paths = [line.split(":", 2)[2] for line in lines if line.startswith(("0::", "1:name=systemd:"))]
    names = [part for path in paths for part in path.split("/") if part.endswith((".service", ".scope"))]
    return names[-1] if names else ""


def own_login():
    """This helper and the login it runs in, which end by themselves; not the daemon that lets people in."""
    chain = [str(os.getpid())]
    while chain[-1] not in ("0", "1", ""):
        chain.append(parent(chain[-1]))
    return frozenset(chain[:-2] or chain[:1])


def parent(pid):
    """The parent's process id, empty when it cannot be seen."""
    stat = facts.read_line("/proc/%s/stat" % pid)
    fields = stat.rpartition(")")[2].split()
    return fields[1] if len(fields) > 1 else ""


def deleted_code(process):
    """The deleted program file or library whose code a process maps, empty when there is none."""
    try:
        with open(process + "/maps", "rb") as stream:
            for line in stream:
                fields = line.rstrip(b"\n").split(None, 5)
                deleted = len(fields) == 6 and b"x" in fields[1] and fields[5].endswith(DELETED)
                if deleted and fields[5].startswith(PROGRAM_FOLDERS):
                    return frames.text(fields[5][: -len(DELETED)])
    except OSError:
        pass
    return ""
