"""Who uses a volume, by our own count: containers, services, mounts of any process, open files, names in files."""

import os
from fnmatch import fnmatchcase

from .. import frames
from ..files import walk
from ..host import facts, usage
from . import references


def of_daemon(daemon, name, mountpoint):
    """A container of any state, or a swarm service, that has the volume; empty when none has."""
    for row in daemon.rows("/containers/json", {"all": "1"}):
        if _has(row.get("Mounts") or (), name, mountpoint):
            return "container %s (%s)" % (", ".join(row.get("Names") or []).lstrip("/"), row.get("State"))
    swarm = daemon.info().get("Swarm") or {}
    if swarm.get("ControlAvailable"):
        for row in daemon.rows("/services"):
            if _service_has(row, name, mountpoint):
                return "swarm service %s" % (row.get("Spec") or {}).get("Name")
    elif swarm.get("LocalNodeState") not in (None, "", "inactive"):
        raise walk.Refused("use_unknown", "this is no manager of its swarm, so its services cannot be seen")
    return ""


def _service_has(row, name, mountpoint):
    for key in ("Spec", "PreviousSpec"):
        template = (row.get(key) or {}).get("TaskTemplate") or {}
        if _has((template.get("ContainerSpec") or {}).get("Mounts") or (), name, mountpoint):
            return True
    return False


def _has(mounts, name, mountpoint):
    for mount in mounts:
        source = str(mount.get("Source") or "")
        if name in (mount.get("Name"), source) or is_below(source, mountpoint):
            return True
    return False


def is_below(path, folder):
    """Whether a path is the folder, or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def of_mounts(folder):
    """What is mounted on or below an open folder, or shows it elsewhere, in any mount namespace that can be seen."""
    row = next((row for row in facts.mount_table() if row["id"] == walk.mount_id(folder)), None)
    if row is None:
        raise walk.Refused("use_unknown", "its mount cannot be seen")
    path = os.fsencode(os.readlink("/proc/self/fd/%d" % folder))
    inside = row["root"].rstrip(b"/") + b"/" + os.path.relpath(path, row["path"])
    for pid in _namespaces():
        for other in _table(pid):
            if _is_in(other["path"], path) or (other["dev"] == row["dev"] and _is_in(other["root"], inside)):
                return "mounted at %s, process %s" % (frames.text(other["path"]), pid)
    return ""


def _is_in(path, folder):
    return path == folder or path.startswith(folder + b"/")


def _namespaces():
    """One process of each mount namespace, ours first."""
    seen = set()
    for pid in ["self", *sorted(name for name in os.listdir("/proc") if name.isdigit())]:
        try:
            space = os.readlink("/proc/%s/ns/mnt" % pid)
        except OSError:
            continue
        if space not in seen:
            seen.add(space)
            yield pid


def _table(pid):
    try:
        return facts.mount_table(pid)
    except (OSError, ValueError):
        return []  # it ended


def of_processes(folder, inodes):
    """A process that has a file of the folder open or mapped, or works in it; `inodes` are those of the folder."""
    device = os.fstat(folder).st_dev
    users = usage.Users().scan()
    for number in users.open | users.mapped | users.locked:
        if number >> 64 == device and number & (2**64 - 1) in inodes:
            return "a process has a file of it open"
    if users.blind:
        raise walk.Refused("use_unknown", "not all processes can be looked at")
    for pid in os.listdir("/proc"):
        for place in ("cwd", "root"):
            if pid.isdigit() and _stands_in("/proc/%s/%s" % (pid, place), device, inodes):
                return "process %s works in it" % pid
    return ""


def _stands_in(link, device, inodes):
    try:
        found = os.stat(link)
    except OSError:
        return False
    return found.st_dev == device and found.st_ino in inodes


def of_files(names, root, out):
    """Volume name -> the file of the host that names it. Raises Refused when not all files can be read."""
    search = references.Search(out, skip=(root,), wanted=names)
    search.run()
    if search.gaps or search.unnamed:
        raise walk.Refused("use_unknown", (search.gaps + search.unnamed)[0])
    found = dict(search.mentions)
    for name in names:
        for pattern, source in search.volumes.items():
            if fnmatchcase(name, pattern):
                found.setdefault(name, source)
    return found
