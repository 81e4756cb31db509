"""A volume and its item in the trash: whether it is there as it was saved, and giving it back.

It is unpacked beside its place, compared, and only then the volume's own.
"""

import os
import re
import shutil

from .. import frames
from ..files import folders, inodes, tree_digest, walk
from ..trash import relocate, saved, store
from . import docker_api, volume_archive

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,254}")
STAGING = b"restoring"


def look(daemon, name):
    """The volume as the daemon describes it, None where it has none of this name. Raises Trouble."""
    return daemon.found("/volumes/%s" % docker_api.part(name))


def open_folder(path):
    """A volume's folder, no link on the way to it. Raises Refused."""
    parts = [frames.raw(part) for part in path.split("/") if part]
    return walk.descend(parts, len(parts))[0]


def is_as_saved(record, out):
    """Whether the volume of an item is there, exactly as it was archived. Raises Trouble."""
    about = record["volume"]
    now = look(docker_api.Daemon(about["socket"]), about["name"])
    if now is None or now.get("Mountpoint") != about["mountpoint"]:
        return False
    try:
        folder = open_folder(about["mountpoint"])
    except walk.Refused:
        return False
    try:
        return tree_digest.of_tree(folder, out).digest == about["content"]
    except (walk.Refused, OSError):
        return False
    finally:
        os.close(folder)


def restore(item, to, out):
    """The volume again, under its name or another; (detail, bytes freed). Raises Refused, or Trouble."""
    about = item.record["volume"]
    name = to or about["name"]
    if not NAME.fullmatch(name):
        raise walk.Refused("not_allowed", "%r is no name of a volume" % name[:100])
    daemon = docker_api.Daemon(about["socket"])
    if look(daemon, name) is not None:
        raise walk.Refused("target_exists", "there is a volume %s; --to names another" % name)
    around = open_folder(os.path.join(daemon.info().get("DockerRootDir") or about["data_root"], "volumes"))
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
        if look(self.daemon, self.name) is not None:  # the daemon would give us somebody else's
            raise walk.Refused("target_exists", "a volume %s was made meanwhile; --to names another" % self.name)
        self.item.save(making=True)
        body = {"Name": self.name, "Driver": about["driver"], "Labels": about["labels"]}
        status, answer = self.daemon.ask("POST", "/volumes/create", body=body)
        if status != 201 or not isinstance(answer, dict) or (answer.get("Labels") or {}) != about["labels"]:
            raise walk.Refused("tool_failed", "the daemon answers %d: %s" % (status, docker_api.message(answer)))
        return answer["Mountpoint"]

    def place(self, mountpoint):
        """The data in the place of the volume's empty folder, in one step."""
        parent = open_folder(os.path.dirname(mountpoint))
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
        there = look(daemon, item.record.get("target") or item.record["volume"]["name"])
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
        folder = open_folder(mountpoint)
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
