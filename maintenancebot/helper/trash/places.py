"""Where on a host a trash may lie, and notes that name those in other places."""

import binascii
import os

from .. import frames
from ..files import folders, walk
from ..host import facts, usage
from . import manifest

FOLDER = b"maintenancebot"
TRASH = b"trash"
NOTES = b"places"
FSTAB = "/etc/fstab"
IN_MEMORY = frozenset(["tmpfs", "ramfs"])


def usual(home, wanted):
    """(base, folder name) of where stores may lie: all, or those on the mount with that id."""
    mount = _mount_of(home)
    if mount is not None and wanted in (None, mount):
        yield home, FOLDER
    for row in facts.mount_table():
        if wanted in (None, row["id"]) and row["type"] not in facts.PSEUDO and not usage.is_shared(row["type"]):
            yield row["path"], b"." + FOLDER


def known(home):
    """Paths of stores: the usual ones, and those that a note names."""
    for base, outer in usual(home, None):
        yield path_of(base, outer)
        parts = [*parts_of(base), outer, NOTES]
        try:
            fd, _ = walk.descend(parts, len(parts))
        except walk.Refused:
            continue
        try:
            for path in _noted(fd):
                yield path
        finally:
            os.close(fd)


def note(home, place):
    """Leave a note at the top of the mount, so that the host alone knows of the store."""
    wanted = walk.mount_id(place.fd)
    for base, outer in usual(home, wanted):
        if place.path == path_of(base, outer):
            return
        fd = inside(home, base, outer, wanted, NOTES)
        if fd is None:
            continue
        try:
            name = b"%08x" % (binascii.crc32(place.path) & 0xFFFFFFFF)
            if place.path not in _noted(fd):
                manifest.write(fd, name, {"path": frames.text(place.path)})
            return
        finally:
            os.close(fd)
    raise walk.Refused("other_file_system", "%s lies on a mount that cannot have a trash" % frames.text(place.path))


def inside(home, base, outer, wanted, name):
    """A private folder of that name in our folder of a mount, None when that is another mount. Raises Refused."""
    fds = []
    try:
        fds.append(walk.descend(parts_of(base), len(parts_of(base)))[0])
        if walk.mount_id(fds[0]) != wanted:
            return None
        fds.extend(_ours(fds[0], base == home, outer, name))
        if any(walk.mount_id(fd) != wanted for fd in fds):
            return None
        return os.dup(fds[-1])
    finally:
        for fd in fds:
            os.close(fd)


def must_stay(passed, path):
    """Raise Refused when somebody else could move a folder on the way."""
    top = os.stat("/")
    for uid, mode in [(top.st_uid, top.st_mode)] + [(one["uid"], one["mode"]) for one in passed]:
        if not folders.is_safe(uid, mode):
            raise walk.Refused("write_error", "no trash at %s: others could move it away" % path)


def must_be_mounted(path):
    """Raise Refused when fstab has a mount on the way that is not there: it would hide what is put below it."""
    mounted = {row["path"] for row in facts.mount_table()}
    for point in _wanted_mounts():
        if (path + b"/").startswith(point.rstrip(b"/") + b"/") and point not in mounted:
            raise walk.Refused("other_file_system", "%s is not mounted" % frames.text(point))


def must_be_another(fd, origin, path):
    rows = {row["id"]: row for row in facts.mount_table()}
    here, there = rows.get(walk.mount_id(fd)), rows.get(walk.mount_id(origin))
    if here is None or here["type"] in facts.PSEUDO | IN_MEMORY or usage.is_shared(here["type"]):
        raise walk.Refused("other_file_system", "%s lies on no disk of this host" % path)
    same = there is not None and here["device"] == there["device"] and here["device"].startswith(b"/")
    if same or os.fstat(fd).st_dev == os.fstat(origin).st_dev:
        raise walk.Refused("no_effect", "%s lies on the same file system" % path)


def path_of(base, outer):
    """The path of the store in a folder of ours."""
    return base.rstrip(b"/") + b"/" + outer + b"/" + TRASH


def parts_of(path):
    """The components of a path, as bytes."""
    return [part for part in path.split(b"/") if part]


def _wanted_mounts():
    """The mount points of fstab."""
    try:
        with open(FSTAB, "rb") as stream:
            rows = [line.split() for line in stream if not line.lstrip().startswith(b"#")]
    except OSError:
        return []
    return [facts.unescape(row[1]).rstrip(b"/") or b"/" for row in rows if len(row) > 1 and row[1].startswith(b"/")]


def _noted(folder):
    if not folders.is_private(os.fstat(folder)):
        return
    for name in list(walk.names(folder)):
        try:
            path = manifest.read(folder, name).get("path")
        except walk.Refused:
            continue
        if isinstance(path, str) and path.startswith("/"):
            yield frames.raw(path)


def _ours(top, is_home, outer, name):
    """Our folder in `top` and a private one in it."""
    found = os.fstat(top)
    if folders.is_safe(found.st_uid, found.st_mode):
        fd = folders.outer(top, outer)
    elif is_home:
        raise walk.Refused(
            "write_error", "no trash in %s: others could move it away" % os.readlink("/proc/self/fd/%d" % top)
        )
    else:
        fd = folders.pinned(top, outer, (TRASH, NOTES))
    try:
        return fd, folders.private(fd, name)
    except BaseException:
        os.close(fd)
        raise


def _mount_of(home):
    try:
        fd, _ = walk.descend(parts_of(home), len(parts_of(home)))
    except walk.Refused:
        return None
    try:
        return walk.mount_id(fd)
    finally:
        os.close(fd)
