"""Runs logrotate for a single log, with a configuration and a state file of our own."""

import os
import re

from .. import frames
from ..files import walk
from ..host import tools
from ..trash import store

NAMEABLE = re.compile(r"^/[^\"'\\{}*?\[\]~#\x00-\x1f\x7f]+$")
"""What stands for itself between the quotes of a configuration: neither its own signs nor those of a glob."""

LIMIT = 300
CONFIGURATION = """"%(path)s" {
    size %(size)d
    rotate -1
    dateext
    dateformat -%%Y%%m%%d-%%s
    create %(mode)04o %(uid)d %(gid)d
    notifempty
    nocompress
    nocopy
    nocopytruncate
    nomissingok
    nomail
    noolddir
%(su)s}
"""
"""Nothing is ever removed, copied or compressed by it; the date has the second, so that no name comes twice."""


def can_name(path):
    """Whether logrotate can be given exactly this path."""
    return bool(NAMEABLE.match(path))


def configuration(log, max_bytes):
    """The configuration for one log, as text."""
    found = log.looked
    owner = {"uid": found.st_uid, "gid": found.st_gid}
    su = "    su %(uid)d %(gid)d\n" % owner if log.exposed() else ""
    return CONFIGURATION % dict(owner, path=log.path, size=max_bytes, mode=found.st_mode & 0o7777, su=su)


def run(log, max_bytes, name, out):
    """Let logrotate rotate the log now; returns the tool's Answer. Raises Refused."""
    program = tools.find("logrotate")
    if program is None:
        raise walk.Refused("lacks", "logrotate is not on the host")
    folder = _folder()
    path = "%s/%s.conf" % (folder, re.sub(r"[^A-Za-z0-9]", "", name))
    with open(path, "wb") as stream:
        stream.write(frames.raw(configuration(log, max_bytes)))
    try:
        return tools.run([program, "--state=%s/state" % folder, path], out=out, limit=LIMIT)
    finally:
        os.unlink(path)


def _folder():
    """Our folder for logrotate, root's own. Raises Refused."""
    outer = frames.text(store.HOME + b"/" + store.FOLDER)
    path = outer + "/logrotate"
    os.makedirs(path, mode=0o700, exist_ok=True)
    for place, others in ((outer, 0o022), (path, 0o077)):
        found = os.lstat(place)
        if found.st_uid != os.geteuid() or found.st_mode & others or not os.path.isdir(place):
            raise walk.Refused("write_error", "%s is not root's own" % place)
    return path
