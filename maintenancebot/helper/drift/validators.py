"""Lets a program check its own configuration as it would be, before anything of it is changed.

A correction stands in its place in a mount namespace of its own, which ends with the check: nobody else ever sees it.
"""

import os
import re
import shutil

from .. import frames, redact
from ..files import walk
from ..host import tools
from . import cron_lines

FOLDER = "/run/maintenancebot"
PLACE = FOLDER + "/check"
SECONDS = 60
NO_PLACE = 98
SCRIPT = (
    'new=$1; place=$2; old=$3; shift 3; [ -z "$old" ] || mount --bind "$place" "$old" || exit 98; '
    'mount --bind "$new" "$place" || exit 98; exec "$@"'
)
"""The one fixed text; what lies where, and who checks, comes as arguments."""

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
UNIT_FILE = re.compile(
    r"/.*/systemd/system/([^/]+\.(?:service|socket|timer|mount|automount|path|slice|target|swap))(\.d/[^/]+\.conf)?"
)
RULES = (
    (r"(?:/usr)?/etc/ssh/(?!ssh_host_|ssh_config|ssh_known_hosts|sshrc$|moduli$).+", ("sshd", "-t")),
    (r"/etc/sudo[^/]*(/.+)?", ("visudo", "-c")),
    (r"/etc/nginx/.+", ("nginx", "-t", "-q")),
    (r"/etc/apache2/.+", ("apache2ctl", "configtest")),
    (r"/etc/httpd/.+", ("httpd", "-t")),
    (r"/etc/haproxy/.+", ("haproxy", "-c", "-q", "-f", "/etc/haproxy/haproxy.cfg")),
    (r"/etc/postfix/.+", ("postfix", "check")),
    (r"/etc/dovecot/.+", ("doveconf", "-n")),
    (r"/etc/nftables\.(conf|d/.+)", ("nft", "-c", "-f", "/etc/nftables.conf")),
    (r"/etc/fstab", ("findmnt", "--verify", "--tab-file", "/etc/fstab")),
    (r"/etc/logrotate\.(conf|d/.+)", ("logrotate", "-d", "/etc/logrotate.conf")),
)
"""Files, and the program's own check of all its configuration."""

TELLING = re.compile(r"emerg|error|syntax|alert|fatal|invalid|bad |unknown|unsupported|cannot|not ", re.I)


def fault(kind, way, out):
    """Why the configuration would not do with this correction; empty when it would, or when nobody can check it.

    Raises Refused when there is somebody who could, and he cannot.
    """
    if way.path is None:
        return ""
    told = cron_lines.fault(kind, way.path, way.content) if cron_lines.is_one(kind, way.path) else ""
    words = _words(way) if kind != "keys" else None  # no program's configuration, wherever they lie
    return redact.redact(told or (_checked(way, words, out) if words else ""))


def _words(way):
    found = (words for pattern, words in RULES if re.fullmatch(pattern, way.path, re.S))
    return next(found, None) or _of_unit(way)


def is_of_systemd(path):
    """Whether systemd reads the file, and must be told that it changed."""
    return path.startswith(UNIT_FOLDERS) and bool(UNIT_FILE.fullmatch(path))


def _of_unit(way):
    """The check of a unit's file, or of one that adds to it; a template is checked by one of its instances."""
    match = UNIT_FILE.fullmatch(way.path)
    if not match or not way.path.startswith(UNIT_FOLDERS) or (way.content is None and not match.group(2)):
        return None
    folders = [folder + "/" + match.group(1) for folder in UNIT_FOLDERS]
    path = next(filter(os.path.exists, folders), None) if match.group(2) else way.path
    return ("systemd-analyze", "verify", path.replace("@.", "@check.")) if path else None


def _checked(way, words, out):
    program = tools.find(words[0])
    if program is None and way.content is None:
        return ""  # a file of a program that is gone may go as well
    unshare = tools.find("unshare")
    if program is None or unshare is None:
        raise walk.Refused("lacks", "there is no %s to check it with" % (words[0] if program is None else "unshare"))
    _clear()
    try:
        new, place, old = _candidate(way)
        argv = [unshare, "--mount", "--propagation", "private", "/bin/sh", "-c", SCRIPT, "sh", new, place, old]
        answer = tools.run([*argv, program, *words[1:]], out=out, limit=SECONDS)
    finally:
        _clear()
    if answer.code == NO_PLACE or answer.timed_out:
        raise walk.Refused("tool_failed", "it could not be checked: %s" % answer.error())
    return "" if answer.ok else "%s: %s" % (words[0], _said(answer))


def _candidate(way):
    """(what is mounted, where, where what was there is to be found meanwhile)."""
    folder, name = os.path.split(frames.raw(way.path))
    os.makedirs(PLACE, mode=0o700)
    if way.content is not None and os.path.lexists(frames.raw(way.path)):
        _write(frames.raw(PLACE) + b"/new", way)
        return frames.raw(PLACE) + b"/new", frames.raw(way.path), b""
    view, old = frames.raw(PLACE) + b"/view", frames.raw(PLACE) + b"/old"
    os.mkdir(view)
    os.mkdir(old)
    shutil.copystat(folder, view)
    for other in os.listdir(folder):
        if other != name:
            _stand_in(folder + b"/" + other, old + b"/" + other, view + b"/" + other)
    if way.content is not None:
        _write(view + b"/" + name, way)
    return view, folder, old


def _stand_in(real, meanwhile, view):
    """Another entry of the folder: the same link, or one to where the entry is to be found meanwhile."""
    os.symlink(os.readlink(real) if os.path.islink(real) else meanwhile, view)


def _write(path, way):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(way.content)
        os.fchown(stream.fileno(), way.dress[0], way.dress[1])
        os.fchmod(stream.fileno(), way.dress[2])


def _clear():
    shutil.rmtree(PLACE, ignore_errors=True)


def _said(answer):
    """The line that names the fault; programs say it on either stream."""
    lines = (answer.stderr + b"\n" + answer.stdout).decode("utf-8", "replace").splitlines()
    telling = [line.strip() for line in lines if TELLING.search(line)]
    return telling[0][:300] if telling and answer.code else answer.error()
