"""What only the host can tell about its containers: sockets, who listens, data root, names in its files.

Nothing is connected to: a socket that systemd holds would start the daemon, and a look must not start anything.
"""

import json
import os
import stat
import time

from .. import frames, results
from ..host import facts, tools

PROGRAMS = ("dockerd", "docker", "podman")
DAEMONS = ("dockerd", "podman")
DATA_ROOT = "/var/lib/docker"
SETTINGS = "/etc/docker/daemon.json"
GAPS_TOLD = 20
LARGEST_TOLD = 5
WORK_SECONDS = 120
WORK_ENTRIES = 50000
WORK = (
    ("tmp", ("GetImageBlob", "docker-builder", "docker-import", "docker-export", "buildkit")),
    ("buildkit/content/ingest", ""),
    ("containerd/daemon/io.containerd.content.v1.content/ingest", ""),
)
"""Folders below a data root, and how the names begin that a daemon at work has in them."""


def probe(args, out):
    """Report the sockets asked for and, if one of them is there, every name of an image that the host's files hold."""
    found = {
        "installed": {name: path for name, path in ((name, tools.find(name)) for name in PROGRAMS) if path},
        "sockets": [socket_facts(path) for path in unique(args["sockets"])],
        "daemons": running(DAEMONS),
        "other_sockets": rootless(),
    }
    if not any(socket["is_socket"] for socket in found["sockets"]):
        return results.Result(facts=found)
    root = data_root(next(socket for socket in found["sockets"] if socket["is_socket"]))
    found["data_root"] = root
    found["file_system"] = space(root)
    found["volume_mounts"] = mounts_below(os.path.join(root, "volumes"))
    found["logs"] = container_logs(root)
    found["under_way"] = under_way(root)
    found.update(image_names(out, root))
    return results.Result(facts=found)


def unique(paths):
    """The paths without those that lead to one already named, in their order."""
    seen, kept = set(), []
    for path in paths:
        real = os.path.realpath(path)
        if real not in seen:
            seen.add(real)
            kept.append(path)
    return kept


def socket_facts(path):
    """What lies at a socket's path, whether this user may open it, whether systemd holds it for a sleeping daemon."""
    real = os.path.realpath(path)
    about = {"path": path, "real": real, "exists": False, "is_socket": False, "access": False, "held_by_systemd": None}
    try:
        info = os.stat(real)
    except OSError as error:
        about["exists"] = not isinstance(error, (FileNotFoundError, NotADirectoryError))
        return about
    about["exists"] = True
    about["is_socket"] = stat.S_ISSOCK(info.st_mode)
    if about["is_socket"]:
        about["access"] = os.access(real, os.R_OK | os.W_OK)
        about["held_by_systemd"] = held_by_systemd(path, real)
    return about


def held_by_systemd(path, real):
    """Whether process 1 has the listening socket open; None when this user cannot see that."""
    inodes = listening(path, real)
    try:
        names = os.listdir("/proc/1/fd")
    except OSError:
        return None
    for name in names:
        try:
            if os.readlink("/proc/1/fd/" + name) in inodes:
                return True
        except OSError:
            continue
    return False


def listening(path, real):
    """`socket:[inode]` of the sockets that are bound to the path under any of its names."""
    names = {
        os.fsencode(name)
        for name in (path, real, path.replace("/run/", "/var/run/", 1), real.replace("/var/run/", "/run/", 1))
    }
    found = set()
    with open("/proc/net/unix", "rb") as stream:
        for line in stream:
            fields = line.split(None, 7)
            if len(fields) == 8 and fields[7].rstrip(b"\n") in names:
                found.add("socket:[%s]" % fields[6].decode("ascii"))
    return found


def running(names):
    """Which of the programs run, as far as this user sees; None when processes of others are hidden."""
    if not os.path.exists("/proc/1/comm"):
        return None
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            name = facts.read_line("/proc/%s/comm" % entry)
            if name in names:
                found.add(name)
    return sorted(found)


def rootless():
    """Sockets of daemons that users run for themselves; they are told, not looked into."""
    found = []
    try:
        users = os.listdir("/run/user")
    except OSError:
        return found
    for user in users:
        for name in ("docker.sock", "podman/podman.sock"):
            path = "/run/user/%s/%s" % (user, name)
            if os.path.exists(path):
                found.append(path)
    return sorted(found)


def data_root(socket):
    """Where the daemon of a socket keeps its data, by its own arguments or settings.

    The daemon's own answer is asked for later and wins.
    """
    for words in commands("dockerd"):
        where = argument(words, ("-g", "--graph", "--data-root"))
        if where.startswith("/") and (argument(words, ("-H", "--host")) or "").endswith(socket["real"]):
            return where
    try:
        with open(SETTINGS, "rb") as stream:
            settings = json.loads(stream.read(1024 * 1024).decode("utf-8"))
    except (OSError, ValueError):
        return DATA_ROOT
    if not isinstance(settings, dict):
        return DATA_ROOT
    root = settings.get("data-root") or settings.get("graph")
    return root if isinstance(root, str) and root.startswith("/") else DATA_ROOT


def commands(name):
    """The argument vectors of the programs of that name, as far as this user sees."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and facts.read_line("/proc/%s/comm" % entry) == name:
            try:
                with open("/proc/%s/cmdline" % entry, "rb") as stream:
                    yield [frames.text(word) for word in stream.read(65536).split(b"\0")]
            except OSError:
                continue


def argument(words, names):
    """The value of an option, empty without one."""
    for position, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in names:
            return value if equals else ([*words, ""])[position + 1]
    return ""


def container_logs(root):
    """How much the containers' JSON logs take, and the largest; nothing where they cannot be seen."""
    sizes = []
    folder = os.path.join(root, "containers")
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    for name in names:
        size = sum(log_sizes(os.path.join(folder, name), name))
        if size:
            sizes.append({"container": frames.text(os.fsencode(name))[:12], "bytes": size})
    sizes.sort(key=lambda row: (-row["bytes"], row["container"]))
    return {"bytes": sum(row["bytes"] for row in sizes), "count": len(sizes), "largest": sizes[:LARGEST_TOLD]}


def log_sizes(folder, name):
    """The bytes that a container's log and its rotated files take."""
    try:
        files = [one for one in os.listdir(folder) if one.startswith(name + "-json.log")]
    except OSError:
        return
    for one in files:
        try:
            yield os.lstat(os.path.join(folder, one)).st_blocks * 512
        except OSError:
            continue


def space(path):
    """Free and total bytes of the file system a path is on, empty when it cannot be asked."""
    try:
        about = os.statvfs(path)
    except OSError:
        return {}
    return {
        "path": path,
        "total": about.f_blocks * about.f_frsize,
        "available": about.f_bavail * about.f_frsize,
    }


def mounts_below(folder):
    """Mount points below a folder."""
    prefix = os.fsencode(folder) + b"/"
    return sorted(frames.text(row["path"]) for row in facts.mount_table() if row["path"].startswith(prefix))


def image_names(out, root):
    """Stream the names; the facts say what could not be looked at, for then nobody knows what is in use."""
    from . import references

    search = references.Search(out, skip=(root, DATA_ROOT))
    search.run()
    for name in sorted(search.names):
        source, kind = search.names[name]
        out.finding("image_reference", name, source=source, how=kind)
    for name in sorted(search.volumes):
        out.finding("volume_reference", name, source=search.volumes[name])
    return {
        "names": len(search.names),
        "gaps": sorted(search.gaps)[:GAPS_TOLD],
        "unresolved": sorted(search.unresolved)[:GAPS_TOLD],
        "unnamed_volumes": sorted(search.unnamed)[:GAPS_TOLD],
        "not_searched": sorted(search.passed)[:GAPS_TOLD],
    }


def under_way(root):
    """What a pull, load or build that is going on has written below the data root a moment ago; empty for none."""
    for place, what in WORK:
        folder = os.path.join(root, place)
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if name.startswith(what) and _is_written(os.path.join(folder, name)):
                return "a pull or build is under way: %s" % frames.text(os.fsencode(os.path.join(place, name)))
    return ""


def _is_written(path):
    """Whether a file, or anything in a folder, is fresh; a folder with too much in it counts as such."""
    if _is_fresh(path):
        return True
    seen = 0
    for folder, folders, files in os.walk(path):
        for name in folders + files:
            seen += 1
            if seen > WORK_ENTRIES or _is_fresh(os.path.join(folder, name)):
                return True
    return False


def _is_fresh(path):
    try:
        return abs(time.time() - os.lstat(path).st_mtime) < WORK_SECONDS
    except OSError:
        return False
