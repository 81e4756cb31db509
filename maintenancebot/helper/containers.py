"""What only the host can tell about its containers: sockets, who listens, data root, names of images in its files.

Nothing is connected to: a socket that systemd holds would start the daemon, and a look must not start anything.
"""

import json
import os
import stat

from . import facts, frames, results, tools

PROGRAMS = ("dockerd", "docker", "podman")
DAEMONS = ("dockerd", "podman")
DATA_ROOT = "/var/lib/docker"
SETTINGS = "/etc/docker/daemon.json"
GAPS_TOLD = 20


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
    root = data_root()
    found["data_root"] = root
    found["file_system"] = space(root)
    found["volume_mounts"] = mounts_below(os.path.join(root, "volumes"))
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


def data_root():
    """Where the daemon keeps its data by its own settings file; the daemon's answer is asked for later and wins."""
    try:
        with open(SETTINGS, "rb") as stream:
            settings = json.loads(stream.read(1024 * 1024).decode("utf-8"))
    except (OSError, ValueError):
        return DATA_ROOT
    if not isinstance(settings, dict):
        return DATA_ROOT
    root = settings.get("data-root") or settings.get("graph")
    return root if isinstance(root, str) and root.startswith("/") else DATA_ROOT


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
    from . import references  # late: most hosts have no containers

    search = references.Search(out, skip=(root, DATA_ROOT))
    search.run()
    for name in sorted(search.names):
        source, kind = search.names[name]
        out.finding("image_reference", name, source=source, how=kind)
    return {
        "names": len(search.names),
        "gaps": sorted(search.gaps)[:GAPS_TOLD],
        "unresolved": sorted(search.unresolved)[:GAPS_TOLD],
        "not_searched": sorted(search.passed)[:GAPS_TOLD],
    }


def recall(change):
    """What became of an image whose removal was never recorded, asked of the daemon that was to remove it."""
    wanted = change["object"]
    about = socket_facts(wanted["socket"])
    if not about["is_socket"] or (about["held_by_systemd"] and "dockerd" not in (running(DAEMONS) or ())):
        return results.outcome(
            change["id"], "unknown", "unfinished", "the daemon does not run, and is not started for this"
        )
    status = image_status(wanted["socket"], wanted["id"])
    if status == 404:
        return results.outcome(change["id"], "done", "verified", "the image is gone")
    if status == 200:
        return results.outcome(change["id"], "skipped", "not_started", "the image is there")
    return results.outcome(change["id"], "unknown", "unfinished", "the daemon answers %d" % status)


def image_status(path, identity, limit=20):
    """The HTTP status of the daemon's answer to a question for one image; OSError when it does not answer."""
    import http.client
    import socket

    connection = http.client.HTTPConnection("localhost", timeout=limit)
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.sock.settimeout(limit)
        connection.sock.connect(path)
        connection.request("GET", "/images/%s/json" % identity)
        return connection.getresponse().status
    finally:
        connection.close()
