"""Corrects files that belong to a user: his authorized keys, and his crontab."""

import os

from .. import frames
from ..files import inodes, walk
from ..host import accounts
from . import correct_files, dressing, drift_keys


def prepare(change, args, _out):
    """The way to let exactly the declared keys in, or also them; close it. Raises Refused."""
    wanted, identity = change["object"]["wanted"], change["object"]["identity"]
    user = _user(change["object"]["name"])
    path = identity["path"]
    there, data = drift_keys.read(path)
    content = _lines(data, wanted)
    if wanted.get("exclusive"):
        _must_be_alone(identity, wanted)
    if there is None:
        correct_files.make_folder(path, user.uid, user.gid, 0o700)
    found = {} if there is None else dict(inodes.values(there), sha256=identity["sha256"])
    change = dict(change, object=dict(change["object"], identity=found))
    return correct_files.prepared(change, args, path, {}, content, (user.uid, user.gid, 0o600))


def prepare_crontab(change, args, _out):
    """The way to correct a user's crontab; cron sees by its folder's time that it has changed."""
    from . import drift_crontabs

    wanted, user = change["object"]["wanted"], _user(change["object"]["name"])
    folder = next((path for path in drift_crontabs.FOLDERS if os.path.isdir(path)), None)
    if folder is None:
        raise walk.Refused("not_installed", "no folder of crontabs here")
    path = "%s/%s" % (folder, user.name)
    content = dressing.content_of(wanted, args)
    return correct_files.prepared(change, args, path, wanted, content, (user.uid, os.stat(folder).st_gid, 0o600))


def _user(name):
    user = accounts.users().get(name)
    if user is None:
        raise walk.Refused("not_applicable", "the host has no user %s" % name)
    return user


def _lines(data, wanted):
    """The file as it should be: its own lines, without other keys where only the declared ones may be."""
    declared = [(line, key) for line in wanted["keys"] for key in drift_keys.keys(frames.raw(line))]
    terms = {key.terms for _, key in declared}
    kept, present = [], set()
    for line in data.split(b"\n"):
        keys = drift_keys.keys(line)
        if keys and wanted.get("exclusive") and keys[0].terms not in terms:
            continue
        present.update(key.terms for key in keys)
        kept.append(line)
    while kept and not kept[-1]:
        kept.pop()
    kept += [frames.raw(line) for line, key in declared if key.terms not in present]
    return b"".join(line + b"\n" for line in kept)


def _must_be_alone(identity, wanted):
    """Raise Refused where another file lets keys in that are not declared; which of them is right, a person knows."""
    terms = {key.terms for line in wanted["keys"] for key in drift_keys.keys(frames.raw(line))}
    for path in identity["paths"][1:]:
        if {key.terms for key in drift_keys.keys(drift_keys.read(path)[1])} - terms:
            raise walk.Refused("not_allowed", "%s lets other keys in as well" % path)
