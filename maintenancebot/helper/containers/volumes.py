"""Step `volumes.remove`: a volume that nobody uses goes by the daemon's own hand, after its data lie in the trash.

Order: nobody has it; archive, read back and compared; record on the disk; looked at again; removed without force; seen
to be gone. Killed anywhere, the volume is in place, or its item is listed and can be restored.
"""

import os

from ..files import tree_digest, walk
from ..host import freed
from ..results import outcome
from ..trash import saved
from ..trash.steps import each
from . import containers, docker_api, volume_archive, volume_saved
from . import volume_users as users

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
            folder = volume_saved.open_folder(about["Mountpoint"])
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
    about = volume_saved.look(daemon, wanted["volume"])
    if about is None:
        raise walk.Refused("vanished", "the daemon has no such volume")
    now = {"driver": about.get("Driver"), "mountpoint": about.get("Mountpoint"), "created": about.get("CreatedAt")}
    changed = [key for key in sorted(now) if now[key] != wanted[key]]
    if changed or (about.get("Labels") or {}) != wanted["labels"]:
        raise walk.Refused("changed_since", "differs in %s" % ", ".join(changed or ["labels"]))
    if about.get("Driver") != "local" or about.get("Options"):
        raise walk.Refused("kept", "only a local volume without options can be archived")
    return about


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
    around = volume_saved.open_folder(os.path.dirname(os.path.dirname(removal.wanted["mountpoint"])))
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
    if status not in (204, 404) or volume_saved.look(removal.daemon, removal.name) is not None:
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
    kept = (
        "" if volume_saved.is_as_saved(item.record, removal.out) else "; what it held lies in the trash as %s" % item.id
    )
    if kept:
        saved.keep(item)
    else:
        saved.drop(item)
    why = "the daemon answers %d: %s%s" % (status, docker_api.message(answer), kept)
    return outcome(removal.change["id"], "skipped" if status == 409 else "failed", _word(status), why)


def _word(status):
    return "in_use" if status == 409 else "tool_failed"


def recall(change):
    """What became of a removal whose outcome was never recorded; asks the daemon, reads only."""
    from ..trash import recovery

    wanted = change["object"]
    item = dict(recovery.held_items()).get(change["id"])
    try:
        there = volume_saved.look(docker_api.Daemon(wanted["socket"]), wanted["volume"])
    except docker_api.Trouble as error:
        return outcome(change["id"], "unknown", "unfinished", error.detail)
    if there is not None:
        return outcome(change["id"], "skipped", "not_started", "the volume is there")
    if item is None:
        return outcome(change["id"], "unknown", "vanished", "neither in its place nor in the trash")
    return outcome(change["id"], "done", "verified", "lies in the trash as %s" % item, trash_item=item)
