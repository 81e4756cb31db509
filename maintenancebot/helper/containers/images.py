"""Step `images.remove`: an image that nobody uses goes by id, never by force; one that no registry has is saved first.

Gone is what the daemon then denies having.
"""

import os

from ..files import walk
from ..host import freed
from ..results import outcome
from ..trash import relocate, saved
from ..trash.steps import each
from . import containers, docker_api, image_archive

MEASURED_BY = "the file system of the daemon's data root"


def remove(step, out):
    """Each change names an image as it was planned, and whether to `save` it; args: keep_days."""
    return each(step, out, _remove)


def _remove(change, args, out):
    try:
        daemon = docker_api.Daemon(change["object"]["socket"])
        _must_be_planned(daemon, change["object"])
        try:
            return _saved_and_removed(daemon, change, args, out)
        except (walk.Refused, OSError) as error:
            raise saved.not_gone(error) from error
    except docker_api.Trouble as error:
        return outcome(change["id"], "unknown", error.reason, error.detail)


def _saved_and_removed(daemon, change, args, out):
    wanted = change["object"]
    _must_be_unused(daemon, wanted)
    around = os.open(wanted["data_root"], walk.FOLDER)
    try:
        meter, layers = freed.Meter(around), _layers_of_idle(daemon)
        item = _save(daemon, change, args, around, out) if wanted.get("save") else None
        try:
            return _removed(daemon, change, item, meter, layers, out)
        finally:
            if item is not None:
                item.close()
                item.store.close()
    finally:
        os.close(around)


def _look(daemon, name):
    return daemon.found("/images/%s/json" % docker_api.part(name))


def _id(daemon, name):
    """The id that a name leads to now, empty when it leads nowhere."""
    return (_look(daemon, name) or {}).get("Id") or ""


def _must_be_planned(daemon, wanted):
    now = _look(daemon, wanted["id"])
    if now is None:
        raise walk.Refused("vanished", "the daemon has no such image")
    if now.get("Id") != wanted["id"]:
        raise walk.Refused("changed_since", "another image answers to the id")
    if (daemon.info().get("DockerRootDir") or "") != wanted["data_root"]:
        raise walk.Refused("changed_since", "the daemon has another data root")
    for key, field in (("tags", "RepoTags"), ("digests", "RepoDigests")):
        names = sorted(name for name in now.get(field) or () if "<none>" not in name)
        if names != wanted[key]:
            raise walk.Refused("changed_since", "its %s are now: %s" % (key, ", ".join(names) or "none"))
    if now.get("Size") != wanted["size"]:
        raise walk.Refused("changed_since", "it has another size")


def _must_be_unused(daemon, wanted):
    """Raise Refused for a container of any state, an image built on it, a service, or a pull or build under way."""
    for row in daemon.rows("/containers/json", {"all": "1"}):
        if row.get("ImageID") == wanted["id"]:
            names = ", ".join(row.get("Names") or [])
            raise walk.Refused("in_use", "container %s (%s)" % (names, row.get("State")))
    for row in daemon.rows("/images/json", {"all": "1"}):
        if row.get("ParentId") == wanted["id"]:
            raise walk.Refused("in_use", "image %s is built on it" % str(row.get("Id"))[:19])
    if (daemon.info().get("Swarm") or {}).get("ControlAvailable"):
        for row in daemon.rows("/services"):
            if wanted["id"] in [_id(daemon, name) for name in _service_images(row)]:
                raise walk.Refused("in_use", "swarm service %s" % (row.get("Spec") or {}).get("Name"))
    work = containers.under_way(wanted["data_root"])
    if work:
        raise walk.Refused("busy", work)


def _service_images(row):
    specs = [((row.get(key) or {}).get("TaskTemplate") or {}) for key in ("Spec", "PreviousSpec")]
    images = [(spec.get("ContainerSpec") or {}).get("Image") for spec in specs]
    return [name for name in images if name]


def _save(daemon, change, args, around, out):
    """An item with the verified image; nothing of it is left when that fails."""
    wanted = change["object"]
    about = {key: wanted[key] for key in ("id", "tags", "digests", "size", "socket", "data_root")}
    item = saved.new_item(around, change, args, "image", about)
    try:
        archive = saved.partial(item)
        try:
            image_archive.pack(daemon, "/images/%s/get" % docker_api.part(wanted["id"]), archive, out)
            os.lseek(archive, 0, os.SEEK_SET)
            with os.fdopen(os.dup(archive), "rb") as stream:
                image_archive.verify(stream, wanted["id"], out)
            saved.whole(item, archive, {}, out)
        finally:
            os.close(archive)
        _must_be_planned(daemon, wanted)
        _must_be_unused(daemon, wanted)
        _layers_of_idle(daemon)
    except BaseException:
        saved.drop(item)
        item.close()
        item.store.close()
        raise
    return item


def _removed(daemon, change, item, meter, layers, out):
    refusal = _take_away(daemon, change["object"])
    if refusal is None and _id(daemon, change["object"]["id"]):
        refusal = ("failed", "tool_failed", "the daemon removed it, and still has it")
    if refusal is not None:
        return _stayed(daemon, change, item, *refusal)
    figures = {"measured_by": MEASURED_BY}
    after = _usage(daemon).get("LayersSize")
    if layers is not None and after is not None:
        figures["layers_freed"] = max(0, layers - after)
    stored = 0
    if item is not None:
        saved.keep(item)
        stored = item.stored()
        figures.update(trash_item=item.id, stored=stored, freed_at_purge=stored)
    expected = figures.get("layers_freed", 0) - stored
    return outcome(change["id"], "done", "verified", freed_now=meter.freed(expected), **figures)


def _stayed(daemon, change, item, state, reason, detail):
    """The daemon refused: an image that it has still needs no archive; one that went all the same has no other copy."""
    if item is not None and _id(daemon, change["object"]["id"]):
        saved.drop(item)
    elif item is not None:
        saved.keep(item)
        detail += "; the image is gone, and lies in the trash as %s" % item.id
    return outcome(change["id"], state, reason, detail)


def _take_away(daemon, wanted):
    """Remove all names but one, each seen to be this image still, then the image by id; None, or why not.

    Without force the daemon removes by id only one tag with its digests.
    """
    taken = []
    for name in further_names(wanted):
        if _id(daemon, name) != wanted["id"]:
            return _left(daemon, wanted, taken, "changed_since", "%s is another image now" % name)
        refusal = _delete(daemon, name)
        if refusal:
            return _left(daemon, wanted, taken, *refusal)
        taken.append(name)
    refusal = _delete(daemon, wanted["id"])
    return _left(daemon, wanted, taken, *refusal) if refusal else None


def _delete(daemon, name):
    query = {"force": "0", "noprune": "1"}  # parents are removed by a change of their own
    status, answer = daemon.ask("DELETE", "/images/%s" % docker_api.part(name), query, limit=docker_api.WORK_SECONDS)
    if status in (200, 404):
        return None
    return ("in_use" if status == 409 else "tool_failed"), docker_api.message(
        answer
    ) or "the daemon answers %d" % status


def further_names(wanted):
    """The names that must go before the image itself."""
    tags, digests = list(wanted["tags"]), list(wanted["digests"])
    last = _repository((tags or digests)[0]) if tags or digests else ""
    known = set([last] + [_repository(name) for name in tags[1:]])
    return tags[1:] + [name for name in digests if _repository(name) not in known]


def _repository(name):
    head, slash, last = name.partition("@")[0].rpartition("/")
    return head + slash + last.partition(":")[0]


def _left(daemon, wanted, taken, reason, detail):
    """The image stays, with the names it had; names that another image got meanwhile stay with that one."""
    _name(daemon, wanted["id"], [name for name in taken if "@" not in name])
    return "failed" if reason == "tool_failed" else "skipped", reason, detail


def _name(daemon, identity, tags):
    """Give an image those tags that are free; returns the others."""
    left = []
    for tag in tags:
        holder = _id(daemon, tag)
        if holder not in ("", identity):
            left.append(tag)
        elif not holder:
            repository = _repository(tag)
            query = {"repo": repository, "tag": tag[len(repository) + 1 :]}
            daemon.ask("POST", "/images/%s/tag" % docker_api.part(identity), query)
    return left


def _layers_of_idle(daemon):
    """Bytes of all layers by the daemon's own count, None when it does not tell. Raises Refused while it builds.

    BuildKit writes straight into layers, where nothing shows it; but it holds its records as long as it builds.
    """
    usage = _usage(daemon)
    for record in usage.get("BuildCache") or ():
        if record.get("InUse"):
            raise walk.Refused("busy", "a build is under way: it holds record %s of the build cache" % record.get("ID"))
    return usage.get("LayersSize")


def _usage(daemon):
    """What the daemon counts of its layers and its build cache; nothing when it does not tell."""
    try:
        return daemon.found("/system/df", (("type", "image"), ("type", "build-cache"))) or {}
    except docker_api.Trouble:
        return {}


def is_as_saved(record, _out):
    """Whether the image of an item is still there; its names are given back then. Raises Trouble."""
    about = record["image"]
    daemon = docker_api.Daemon(about["socket"])
    if not _id(daemon, about["id"]):
        return False
    _name(daemon, about["id"], about["tags"])
    return True


def recall(change):
    """What became of a removal whose outcome was never recorded; asks the daemon, reads only."""
    from ..trash import recovery

    wanted = change["object"]
    try:
        there = _id(docker_api.Daemon(wanted["socket"]), wanted["id"])
    except docker_api.Trouble as error:
        return outcome(change["id"], "unknown", "unfinished", error.detail)
    if there:
        return outcome(change["id"], "skipped", "not_started", "the image is there")
    item = dict(recovery.held_items()).get(change["id"]) if wanted.get("save") else None
    if wanted.get("save") and item is None:
        return outcome(change["id"], "unknown", "vanished", "neither in its place nor in the trash")
    more = {"trash_item": item} if item else {}
    return outcome(change["id"], "done", "verified", "the image is gone", **more)


def restore(item, to, out):
    """The image again with its tags; (detail, bytes freed). Raises Refused, or Trouble."""
    about = item.record["image"]
    if to:
        raise walk.Refused("not_allowed", "an image comes back under its own id and tags")
    daemon = docker_api.Daemon(about["socket"])
    if _id(daemon, about["id"]):
        raise walk.Refused("target_exists", "the daemon has this image")
    root = os.open(daemon.info().get("DockerRootDir") or about["data_root"], walk.FOLDER)
    try:
        free = relocate.free_bytes(root)
        left = _load(daemon, item, out)
        said = saved.let_go(item, out)
        said += "; another image has by now: %s" % ", ".join(left) if left else ""
        name = ", ".join(tag for tag in about["tags"] if tag not in left) or about["id"][:19]
        return "back as image %s%s" % (name, said), relocate.free_bytes(root) - free
    finally:
        os.close(root)


def _load(daemon, item, out):
    """Load the archive, which the daemon unpacks itself; returns the tags that others have."""
    about = item.record["image"]
    with os.fdopen(saved.open_archive(item, out), "rb") as archive:
        item.unsettle()
        item.save(state="restoring", target=about["id"])
        status, answer = daemon.send("/images/load", {"quiet": "1"}, archive)
    if not _id(daemon, about["id"]):
        saved.as_before(item)
        why = " ".join(answer.split())[-300:]
        raise walk.Refused("tool_failed", "the daemon answers %d to its load: %s" % (status, why))
    return _name(daemon, about["id"], about["tags"])


def settle_restore(item, out):
    """Of a restore that broke off: the image is back, or the item is held as before."""
    about = item.record["image"]
    try:
        if is_as_saved(item.record, out) and _id(docker_api.Daemon(about["socket"]), about["id"]):
            saved.let_go(item, out)
            return
    except docker_api.Trouble:
        return  # looked at again; until then it is listed and can be restored
    saved.as_before(item)
