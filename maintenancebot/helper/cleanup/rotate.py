"""Logs that grow and that nobody rotates: found by the probe, and step `rotate.rotate` of a single one."""

import os
import re
import stat
import time

from .. import frames
from ..files import globs, tree, walk
from ..host import facts, tools, units, writers
from ..results import outcome
from ..trash.steps import each
from . import growing, logrotate, rotation

OURS = re.compile(r"-[0-9]{8}-[0-9]{9,11}$")
ROTATED = re.compile(r"([.-][0-9]{8}([-_.T][0-9]+)*|\.[0-9]{1,3}|\.old)?(\.(gz|xz|zst|bz2|lz4|lzma|Z|zip))?$")
SHOWN = 20
REOPEN_SECONDS = 10


def look(args, out):
    """Stream a finding `growing_log` for each log above its `max_bytes`; facts: counts, and why others stay."""
    if tools.find("logrotate") is None:
        return {"reason": "lacks", "detail": "logrotate is not on the host"}
    managed = logrotate.read()
    mounts = frozenset(row["path"] for row in facts.mount_table())
    told = {"matched": 0, "due": 0, "stay": [], "patterns": []}
    seen, rotated = set(), {}
    for rule in args["rotate"]:
        row = {"path": rule["path"], "reason": ""}
        told["patterns"].append(row)
        try:
            for path in _large(rule, args, mounts, told, rotated, out):
                if path not in seen:
                    seen.add(path)
                    _judge(path, rule, args, managed, told, out)
        except walk.Refused as error:
            row["reason"] = "missing" if error.reason == "vanished" else error.reason
    for key, names in writers.among(rotated).items():
        _stay(told, rotated[key], "in_use", "rotated, and %s still writes it" % growing.names_of(names))
    return told


def _large(rule, args, mounts, told, rotated, out):
    """Paths of the files that a rule matches and that are too large; those that we rotated are noted in `rotated`."""
    glob = globs.Glob(rule["path"])
    anchor = globs.inside([*glob.static, "."], args["allow"])
    if not anchor:
        raise walk.Refused("not_allowed")
    found, places = [], set()
    for folder, place, name, looked in tree.Tree(glob, anchor, mounts, out.alive).matches():
        path = frames.text(place.rstrip(b"/") + b"/" + name)
        if place not in places:
            places.add(place)
            rotated.update(_ours(folder, place))
        if ROTATED.search(path).group() or name.startswith(walk.OWN_PREFIX):
            continue
        told["matched"] += 1
        if looked.st_size > rule["max_bytes"]:
            found.append(path)
    return found


def _ours(folder, place):
    """{(device, inode): path} of the logs in a folder that we rotated."""
    again, found = walk.open_folder(b".", folder), {}  # the walk itself is at reading the other one
    try:
        for name in walk.names(again):
            if OURS.search(frames.text(name)):
                looked = os.stat(name, dir_fd=again, follow_symlinks=False)
                found[(looked.st_dev, looked.st_ino)] = frames.text(place.rstrip(b"/") + b"/" + name)
    except OSError:
        pass  # gone while we looked
    finally:
        os.close(again)
    return found


def _judge(path, rule, args, managed, told, out):
    try:
        log = growing.Log(path, args)
        try:
            log.check(managed)
            names = [str(one) for one in log.must_reopen(rule["reload"])]
            told["due"] += 1
            identity = dict(log.identity(), max_bytes=rule["max_bytes"], reload=rule["reload"])
            out.finding("growing_log", path, identity=identity, size=log.looked.st_size, writers=names)
        finally:
            log.close()
    except walk.Refused as error:
        _stay(told, path, error.reason, error.detail)


def _stay(told, path, reason, detail):
    if len(told["stay"]) < SHOWN:
        told["stay"].append({"path": path, "reason": reason, "detail": detail})


def rotate(step, out):
    """Step `rotate.rotate`: a log gets another name and a new, empty file takes its place."""
    return each(step, out, _rotate)


def _rotate(change, args, out):
    wanted = change["object"]
    log = growing.Log(wanted["path"], args)
    try:
        found = log.identity()
        changed = [field for field in growing.IDENTITY if found[field] != wanted[field]]
        if changed:
            raise walk.Refused("changed_since", "differs in %s" % ", ".join(changed))
        if log.looked.st_size <= wanted["max_bytes"]:
            return outcome(change["id"], "nothing", "up_to_date", "not above %d bytes any more" % wanted["max_bytes"])
        log.check(logrotate.read())
        reopening = bool(log.must_reopen(wanted["reload"]))
        answer = rotation.run(log, wanted["max_bytes"], change["id"], out)
        return _settle(change["id"], log, wanted["reload"] if reopening else "", answer, out)
    finally:
        log.close()


def _settle(change_id, log, unit, answer, out):
    """Look what logrotate did, let the writer open the new file, and tell."""
    name = log.rotated(log.key)
    if name is None:
        return outcome(change_id, "failed", "tool_failed", "logrotate: %s" % answer.error(), freed_now=0)
    lies = log.path.rpartition("/")[0] + "/" + frames.text(name)
    trouble = _reload(log, unit, out) if unit else None
    trouble = trouble or _of_new_file(log)
    measured = {"freed_now": 0, "freed_at_purge": 0, "rotated": lies, "bytes": log.looked.st_size}
    if trouble:
        return outcome(change_id, "failed", trouble[0], "%s; the log lies in %s" % (trouble[1], lies), **measured)
    return outcome(change_id, "done", "verified", "lies in %s; a rename frees nothing" % lies, **measured)


def _of_new_file(log):
    """What is wrong with the file that took the log's place, as (reason, detail)."""
    new = log.now()
    if new is None:
        return "missing", "there is no new log"
    old = log.looked
    if not stat.S_ISREG(new.st_mode) or (new.st_dev, new.st_ino) == log.key or new.st_size >= old.st_size:
        return "tool_failed", "what lies in its place is not a new log"
    if (new.st_mode, new.st_uid, new.st_gid) != (old.st_mode, old.st_uid, old.st_gid):
        return "tool_failed", "the new log has another owner or mode"
    return None


def _reload(log, unit, out):
    """Reload the writer's unit and wait until it has left the old file; (reason, detail) of what went wrong."""
    answer = units.reload(unit, out)
    if not answer.ok:
        return "tool_failed", "systemctl reload %s: %s" % (unit, answer.error())
    end = time.monotonic() + REOPEN_SECONDS
    left = writers.of(log.key)
    while left and time.monotonic() < end:
        time.sleep(0.2)
        left = writers.of(log.key)
    state = units.show(unit, "ActiveState").get("ActiveState", "unknown")
    if state != "active":
        return "not_responding", "%s is %s after its reload" % (unit, state)
    if left:
        return "needs_reload", "%s was reloaded, and %s still writes the old file" % (unit, growing.names_of(left))
    return None


def recall(change):
    """What became of a change whose outcome was never recorded; reads only."""
    wanted = change["object"]
    key = (wanted["dev"], wanted["ino"])
    try:
        log = growing.Log(wanted["path"], {"allow": [wanted["root"]], "protect": []})
    except walk.Refused as error:
        return outcome(change["id"], "unknown", error.reason, error.detail)
    try:
        if log.key == key:
            return outcome(change["id"], "skipped", "not_started", "found untouched")
        name = log.rotated(key)
        if name is None:
            return outcome(change["id"], "unknown", "vanished", "neither in its place nor rotated")
        left = writers.of(key)
        if left:
            return outcome(
                change["id"], "unknown", "unfinished", "rotated, and %s still writes it" % growing.names_of(left)
            )
        return outcome(change["id"], "done", "verified", "lies in %s beside it" % frames.text(name))
    finally:
        log.close()
