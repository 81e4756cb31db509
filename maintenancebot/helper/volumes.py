"""Step `volumes.remove`: a volume that nobody uses goes by the daemon's own hand, after its data lie in the trash.

Order: nobody has it; archive, read back and compared; record on the disk; looked at again; removed without force; seen
to be gone. Killed anywhere, the volume is in place, or its item is listed and can be restored.
"""

import os
import re
import shutil

from . import (
    containers,
    docker_api,
    folders,
    frames,
    freed,
    inodes,
    relocate,
    saved,
    store,
    tree_digest,
    volume_archive,
    walk,
)
from . import volume_users as users
from .results import outcome
from .steps import each

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
STAGING = b"restoring"
LOOKS = 3
MEASURED_BY = "the file system of the daemon's data root"


def remove(step, out):
    """Each change names a volume as it was planned; args: keep_days, cap_bytes."""
    return each(step, out, _remove)


def _remove(change, args, out):
    try:
        daemon = docker_api.Daemon(change["object"]["socket"])
        about = _planned(daemon, change["object"])
        try:
            folder = _open(about["Mountpoint"])
            try:
                return _removed(_Removal(daemon, change, args, folder, out))
            finally:
                os.close(folder)
        except (walk.Refused, OSError) as error:
            raise saved.not_gone(error) from error
    except docker_api.Trouble as error:
        return outcome(change["id"], "unknown", error.reason, error.detail)


def _planned(daemon, wanted):
    """The volume as it is now. Raises Refused unless it is the one that the plan names."""
    if (daemon.info().get("DockerRootDir") or "") != wanted["data_root"]:
        raise walk.Refused("changed_since", "the daemon has another data root")
    about = _look(daemon, wanted["volume"])
    if about is None:
        raise walk.Refused("vanished", "the daemon has no such volume")
    now = {"driver": about.get("Driver"), "mountpoint": about.get("Mountpoint"), "created": about.get("CreatedAt")}
    changed = [key for key in sorted(now) if now[key] != wanted[key]]
    if changed or (about.get("Labels") or {}) != wanted["labels"]:
        raise walk.Refused("changed_since", "differs in %s" % ", ".join(changed or ["labels"]))
    if about.get("Driver") != "local" or about.get("Options"):
        raise walk.Refused("kept", "only a local volume without options can be archived")
    return about


def _look(daemon, name):
    return daemon.found("/volumes/%s" % docker_api.part(name))


def _open(path):
    parts = [frames.raw(part) for part in path.split("/") if part]
    return walk.descend(parts, len(parts))[0]


class _Removal:
    """All that one removal works with."""

    def __init__(self, daemon, change, args, folder, out):
        self.daemon = daemon
        self.change = change
        self.args = args
        self.folder = folder
        self.out = out
        self.wanted = change["object"]
        self.name = self.wanted["volume"]

    def must_be_idle(self, tree):
        """Raise Refused when anybody has the volume."""
        user = users.of_daemon(self.daemon, self.name, self.wanted["mountpoint"]) or self._on_host(tree)
        if user:
            raise walk.Refused("in_use", user)

    def _on_host(self, tree):
        """A mount or a process that has it; processes that end while they are looked at make a look void."""
        for _ in range(LOOKS):
            try:
                return users.of_mounts(self.folder) or users.of_processes(self.folder, tree.inodes)
            except OSError as error:
                why = str(error)
        raise walk.Refused("use_unknown", why)

    def must_be_unnamed(self):
        """Raise Refused when a file of the host names it, or the daemon is at work."""
        named = users.of_files([self.name], self.wanted["data_root"], self.out).get(self.name)
        if named:
            raise walk.Refused("in_use", "named in %s" % named)
        work = containers.under_way(self.wanted["data_root"])
        if work:
            raise walk.Refused("busy", work)

    def must_be_as(self, tree):
        """Raise Refused when anything in it was touched since."""
        _planned(self.daemon, self.wanted)
        if tree_digest.of_tree(self.folder, self.out, contents=False).state != tree.state:
            raise walk.Refused("changed_since", "the volume changed while it was archived")


def _removed(removal):
    tree = tree_digest.of_tree(removal.folder, removal.out)
    if tree.bytes > removal.args["cap_bytes"]:
        raise walk.Refused("over_cap", "it holds %d bytes, more than one run may remove" % tree.bytes)
    removal.must_be_idle(tree)
    removal.must_be_unnamed()
    around = _open(os.path.dirname(os.path.dirname(removal.wanted["mountpoint"])))
    try:
        meter = freed.Meter(around)
        item = _archive(removal, tree)
        try:
            return _gone(removal, tree, item, meter, around)
        finally:
            item.close()
            item.store.close()
    finally:
        os.close(around)


def _archive(removal, tree):
    """An item with the verified archive; nothing of it is left when that fails."""
    wanted = removal.wanted
    about = {"name": removal.name, "content": tree.digest, "entries": tree.entries, "bytes": tree.bytes}
    about.update({key: wanted[key] for key in ("driver", "labels", "created", "mountpoint", "socket", "data_root")})
    about.update(allocated=tree.allocated, sockets=tree.sockets)
    item = saved.new_item(removal.folder, removal.change, removal.args, "volume", about)
    try:
        archive = saved.partial(item)
        try:
            volume_archive.pack(removal.folder, archive, removal.out)
            _must_hold(archive, tree, removal.out)
            saved.whole(item, archive, {}, removal.out)
        finally:
            os.close(archive)
        removal.must_be_idle(tree)
        removal.must_be_as(tree)
    except BaseException:
        saved.drop(item)
        item.close()
        item.store.close()
        raise
    return item


def _must_hold(archive, tree, out):
    os.lseek(archive, 0, os.SEEK_SET)
    with os.fdopen(os.dup(archive), "rb") as stream:
        found = tree_digest.of_archive(stream, tree.linked, out)
    if found.digest != tree.digest:
        raise walk.Refused("compress_mismatch", "the archive does not give the same back")


def _gone(removal, tree, item, meter, around):
    status, answer = removal.daemon.ask(
        "DELETE", "/volumes/%s" % docker_api.part(removal.name), limit=docker_api.WORK_SECONDS
    )
    if status not in (204, 404) or _look(removal.daemon, removal.name) is not None:
        return _stayed(removal, item, status, answer)
    saved.keep(item)
    stored = item.stored()
    here = os.fstat(item.fd).st_dev == os.fstat(around).st_dev
    return outcome(
        removal.change["id"],
        "done",
        "verified",
        "%d sockets in it are not kept" % tree.sockets if tree.sockets else "",
        freed_now=meter.freed(tree.allocated - (stored if here else 0)),
        freed_at_purge=stored if here else 0,
        trash_item=item.id,
        stored=stored,
        measured_by=MEASURED_BY,
    )


def _stayed(removal, item, status, answer):
    """The daemon did not remove it: what is still as it was needs no archive."""
    kept = "" if is_as_saved(item.record, removal.out) else "; what it held lies in the trash as %s" % item.id
    if kept:
        saved.keep(item)
    else:
        saved.drop(item)
    why = "the daemon answers %d: %s%s" % (status, docker_api.message(answer), kept)
    return outcome(removal.change["id"], "skipped" if status == 409 else "failed", _word(status), why)


def _word(status):
    return "in_use" if status == 409 else "tool_failed"


def is_as_saved(record, out):
    """Whether the volume of an item is there, exactly as it was archived. Raises Trouble."""
    about = record["volume"]
    now = _look(docker_api.Daemon(about["socket"]), about["name"])
    if now is None or now.get("Mountpoint") != about["mountpoint"]:
        return False
    try:
        folder = _open(about["mountpoint"])
    except walk.Refused:
        return False
    try:
        return tree_digest.of_tree(folder, out).digest == about["content"]
    except (walk.Refused, OSError):
        return False
    finally:
        os.close(folder)


def recall(change):
    """What became of a removal whose outcome was never recorded; asks the daemon, reads only."""
    from . import recovery

    wanted = change["object"]
    item = dict(recovery.held_items()).get(change["id"])
    try:
        there = _look(docker_api.Daemon(wanted["socket"]), wanted["volume"])
    except docker_api.Trouble as error:
        return outcome(change["id"], "unknown", "unfinished", error.detail)
    if there is not None:
        return outcome(change["id"], "skipped", "not_started", "the volume is there")
    if item is None:
        return outcome(change["id"], "unknown", "vanished", "neither in its place nor in the trash")
    return outcome(change["id"], "done", "verified", "lies in the trash as %s" % item, trash_item=item)


def restore(item, to, out):
    """The volume again, under its name or another; (detail, bytes freed). Raises Refused, or Trouble."""
    about = item.record["volume"]
    name = to or about["name"]
    if not NAME.fullmatch(name):
        raise walk.Refused("not_allowed", "%r is no name of a volume" % name[:100])
    daemon = docker_api.Daemon(about["socket"])
    if _look(daemon, name) is not None:
        raise walk.Refused("target_exists", "there is a volume %s; --to names another" % name)
    around = _open(os.path.join(daemon.info().get("DockerRootDir") or about["data_root"], "volumes"))
    try:
        free = relocate.free_bytes(around)
        said = _restored(_Restore(daemon, item, name, around, out))
        return "back as volume %s%s" % (name, said), relocate.free_bytes(around) - free
    finally:
        os.close(around)


class _Restore:
    """All that one restore works with; the data are unpacked in the trash of the volumes' mount first."""

    def __init__(self, daemon, item, name, around, out):
        self.daemon = daemon
        self.item = item
        self.name = name
        self.out = out
        place = store.for_mount(around)
        try:
            self.staging = place.private_folder(STAGING)
        finally:
            place.close()
        self.folder_name = frames.raw(item.id)

    def unpack(self):
        """The data in a folder of ours, compared with what the volume had; its stat."""
        about = self.item.record["volume"]
        room = os.fstatvfs(self.staging)
        if room.f_bavail * room.f_frsize < about["allocated"] + volume_archive.SPARE:
            raise walk.Refused("no_space", "the volume needs %d bytes" % about["allocated"])
        os.mkdir(self.folder_name, 0o700, dir_fd=self.staging)
        archive, folder = saved.open_archive(self.item, self.out), walk.open_folder(self.folder_name, self.staging)
        try:
            volume_archive.unpack(archive, folder, self.out)
            if tree_digest.of_tree(folder, self.out).digest != about["content"]:
                raise walk.Refused("write_error", "this file system does not give back what the volume held")
            return os.fstat(folder)
        finally:
            os.close(folder)
            os.close(archive)

    def create(self):
        """The empty volume's mount point."""
        about = self.item.record["volume"]
        if _look(self.daemon, self.name) is not None:  # the daemon would give us somebody else's
            raise walk.Refused("target_exists", "a volume %s was made meanwhile; --to names another" % self.name)
        self.item.save(making=True)
        body = {"Name": self.name, "Driver": about["driver"], "Labels": about["labels"]}
        status, answer = self.daemon.ask("POST", "/volumes/create", body=body)
        if status != 201 or not isinstance(answer, dict) or (answer.get("Labels") or {}) != about["labels"]:
            raise walk.Refused("tool_failed", "the daemon answers %d: %s" % (status, docker_api.message(answer)))
        return answer["Mountpoint"]

    def place(self, mountpoint):
        """The data in the place of the volume's empty folder, in one step."""
        parent = _open(os.path.dirname(mountpoint))
        try:
            base = frames.raw(os.path.basename(mountpoint))
            os.rename(self.folder_name, base, src_dir_fd=self.staging, dst_dir_fd=parent)
            os.fsync(parent)
        finally:
            os.close(parent)


def _restored(work):
    item = work.item
    item.unsettle()
    item.save(state="restoring", target=work.name)
    try:
        made = work.unpack()
        item.save(restored=inodes.values(made))
        work.place(work.create())
    except BaseException:
        settle_restore(item, work.out)
        raise
    finally:
        os.close(work.staging)
    return saved.let_go(item, work.out)


def settle_restore(item, out):
    """Of a restore that broke off: the volume is back, or it is as before, and nothing half done is left."""
    _forget_staging(item)
    try:
        daemon = docker_api.Daemon(item.record["volume"]["socket"])
        there = _look(daemon, item.record.get("target") or item.record["volume"]["name"])
        if there is not None and _is_the_restored(item, there["Mountpoint"]):
            saved.let_go(item, out)
            return
        if there is not None and item.record.get("making") and _is_empty(there["Mountpoint"]):
            daemon.ask("DELETE", "/volumes/%s" % docker_api.part(item.record["target"]))
    except docker_api.Trouble:
        return  # looked at again; until then it is listed and can be restored
    saved.as_before(item)


def _is_the_restored(item, mountpoint):
    made, found = item.record.get("restored"), walk.lstat(mountpoint)
    return bool(made) and found is not None and (found.st_dev, found.st_ino) == (made["dev"], made["ino"])


def _is_empty(mountpoint):
    try:
        folder = _open(mountpoint)
    except walk.Refused:
        return False
    try:
        return not os.listdir(folder)
    finally:
        os.close(folder)


def _forget_staging(item):
    """Remove what was unpacked and did not get to its place."""
    for place in store.existing():
        try:
            staging = walk.open_folder(STAGING, place.fd)
        except OSError:
            place.close()
            continue
        try:
            folders.must_be_private(staging, "restoring")
            shutil.rmtree("/proc/self/fd/%d/%s" % (staging, item.id), ignore_errors=True)
        finally:
            os.close(staging)
            place.close()
