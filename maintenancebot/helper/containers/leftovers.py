"""Step `leftovers.remove`: single stopped containers and records of the build cache, as a task's settings name them."""

import json
import os

from ..files import walk
from ..host import freed
from ..results import outcome
from ..trash.steps import each
from . import docker_api

STOPPED = ("exited", "dead")
MEASURED_BY = "the file system of the daemon's data root"


def remove(step, out):
    """Each change names a container or a record of the build cache by id, as it was planned."""
    return each(step, out, _remove)


def _remove(change, _args, _out):
    wanted = change["object"]
    try:
        daemon = docker_api.Daemon(wanted["socket"])
        if (daemon.info().get("DockerRootDir") or "") != wanted["data_root"]:
            raise walk.Refused("changed_since", "the daemon has another data root")
        root = os.open(wanted["data_root"], walk.FOLDER)
        try:
            meter = freed.Meter(root)
            (_remove_container if change["action"] == "remove_container" else _remove_record)(daemon, wanted)
            if _is_there(daemon, change):
                return outcome(change["id"], "failed", "tool_failed", "the daemon removed it, and still has it")
            now = meter.freed(wanted.get("size") or 0)
            return outcome(change["id"], "done", "verified", freed_now=now, measured_by=MEASURED_BY)
        finally:
            os.close(root)
    except docker_api.Trouble as error:
        return outcome(change["id"], "unknown", error.reason, error.detail)


def _remove_container(daemon, wanted):
    """Never by force, and its volumes stay."""
    path = "/containers/%s" % docker_api.part(wanted["id"])
    now = daemon.found(path + "/json")
    if now is None:
        raise walk.Refused("vanished", "the daemon has no such container")
    state = now.get("State") or {}
    if state.get("Status") not in STOPPED:
        raise walk.Refused("in_use", "it is %s" % state.get("Status"))
    if state.get("FinishedAt") != wanted["finished"] or now.get("Name") != wanted["name"]:
        raise walk.Refused("changed_since", "it ran, or got another name, since the plan")
    _must_go(*daemon.ask("DELETE", path, {"force": "0", "v": "0"}, limit=docker_api.WORK_SECONDS))


def _remove_record(daemon, wanted):
    """This one record; the daemon is asked by its id, so that it chooses nothing itself."""
    records = _records(daemon)
    record = records.get(wanted["id"])
    if record is None:
        raise walk.Refused("vanished", "the build cache has no such record")
    if record.get("InUse") or record.get("LastUsedAt") != wanted["last_used"]:
        raise walk.Refused("in_use", "it was used since the plan")
    for name in sorted(records):
        if wanted["id"] in (records[name].get("Parents") or [records[name].get("Parent")]):
            raise walk.Refused("in_use", "record %s is built on it" % name)
    query = {"all": "1", "filters": json.dumps({"id": {wanted["id"]: True}})}
    status, answer = daemon.ask("POST", "/build/prune", query, limit=docker_api.WORK_SECONDS)
    _must_go(status, answer)


def _records(daemon):
    """The records of the build cache by their ids."""
    records = (daemon.found("/system/df", {"type": "build-cache"}) or {}).get("BuildCache") or []
    return {str(record.get("ID")): record for record in records}


def _must_go(status, answer):
    if status == 409:
        raise walk.Refused("busy", docker_api.message(answer))
    if status not in (200, 204, 404):
        raise docker_api.Trouble("tool_failed", "the daemon answers %d: %s" % (status, docker_api.message(answer)))


def _is_there(daemon, change):
    wanted = change["object"]
    if change["action"] == "remove_container":
        return daemon.found("/containers/%s/json" % docker_api.part(wanted["id"])) is not None
    return wanted["id"] in _records(daemon)


def recall(change):
    """What became of a removal whose outcome was never recorded; asks the daemon, reads only."""
    try:
        there = _is_there(docker_api.Daemon(change["object"]["socket"]), change)
    except docker_api.Trouble as error:
        return outcome(change["id"], "unknown", "unfinished", error.detail)
    if there:
        return outcome(change["id"], "skipped", "not_started", "it is there")
    return outcome(change["id"], "done", "verified", "it is gone")
