"""Declared authorized keys: a key counts with its options, whatever its comment; each is told by its fingerprint."""

import base64
import binascii
import glob
import hashlib
import re

from .. import frames, redact
from ..files import plain, walk
from ..host import accounts, tools
from . import drift_files, held_against

CONFIGURATION = ("/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*.conf")
USUAL = ".ssh/authorized_keys .ssh/authorized_keys2"
NAMED = re.compile(
    rb"^\s*(?:AuthorizedKeysFile\b"
    rb"|Include\b(?![ \t]*=?[ \t]*\"?/etc/ssh/sshd_config\.d/\*\.conf\"?[ \t\r]*(?:#.*)?$))",
    re.I | re.M,
)
"""What says where keys lie, or may say so in a file that is not looked at here."""
KEY = re.compile(
    r"^(?P<options>(?:\\\"|\\(?!\")|[^\s\"\\]|\"(?:\\\"|\\(?!\")|[^\"\\])*\")+\s+)??"
    r"(?P<kind>(?:ssh|ecdsa|sk)-[A-Za-z0-9@.-]+)\s+(?P<key>[A-Za-z0-9+/]+=*)(?:\s+(?P<comment>.*))?$"
)
"""As sshd reads a line: a backslash lets a quote be part of a value, and is itself one where no quote follows."""
TOKEN = re.compile(r"%([%huU])")
MOST = 100
"""Keys that are told; all are compared."""
LIMIT = 20


class Key:
    """One line; two that let the same key in on the same terms are equal."""

    def __init__(self, match):
        self._options = (match.group("options") or "").strip()
        self._kind, self._comment = match.group("kind"), match.group("comment") or ""
        blob = base64.b64decode(match.group("key") + "==", validate=False)
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")
        self._fingerprint = "SHA256:" + digest
        self.terms = (",".join(sorted(self._options.split(","))), self._kind, blob)

    def __str__(self):
        words = [redact.redact(self._options), self._kind, self._fingerprint, redact.redact(self._comment)]
        return " ".join(word for word in words if word)[:300]


def look(items, out=None):
    """See `drift.LOOKS`."""
    users, elsewhere = accounts.users(), is_configured()
    return [_look_at(item, users.get(item["name"]), elsewhere) for item in items]


def _look_at(item, user, elsewhere):
    if user is None:
        return _nobody(item["wanted"])
    try:
        paths = files_of(user, elsewhere)
        found = [(path, *read(path)) for path in paths]
    except OSError as error:
        return held_against.unreadable(error.strerror or error)
    except walk.Refused as error:
        return held_against.Found(error.reason, error=error.detail)
    return _compare(item["wanted"], found)


def _nobody(wanted):
    """Whoever is not there has no keys; where other services may know him, that is not known."""
    if accounts.others("passwd"):
        return held_against.unreadable("not among the host's own users; nsswitch.conf asks other services too")
    if not wanted.get("keys"):
        return held_against.Found()
    return held_against.Found(held_against.MISSING, {"keys": []}, ["keys"], error="the host has no such user")


def _compare(wanted, found):
    (path, there, data), others = found[0], found[1:]
    present = keys(b"\n".join([data, *(more for _, _, more in others)]))
    lines = [line for line in wanted.get("keys", []) if line.strip() and not line.startswith("#")]
    declared = [key for line in lines for key in keys(frames.raw(line))]
    if len(declared) != len(lines):
        return held_against.unreadable("a declared line is no key as sshd would understand it")
    terms = {key.terms for key in present}
    lacks = [key for key in declared if key.terms not in terms]
    extra = [key for key in present if key.terms not in {key.terms for key in declared}]
    differs = ["keys"] * bool(lacks) + ["exclusive"] * bool(extra and wanted.get("exclusive"))
    told = {"keys": _told(present), "missing": _told(lacks)}
    if wanted.get("exclusive"):
        told.update(exclusive=not extra, extra=_told(extra))
    identity = {"path": path, "paths": [one for one, _, _ in found], "sha256": hashlib.sha256(data).hexdigest()}
    identity.update({} if there is None else {"dev": there.st_dev, "ino": there.st_ino, "mtime_ns": there.st_mtime_ns})
    state = held_against.MISSING if differs and not terms else held_against.DIFFERS
    made = held_against.Found(state if differs else "", told, differs, identity)
    made.lies_in(path, there)
    made.at = max((int(one.st_ctime) for _, one, _ in found if one is not None), default=None)
    return made


def keys(data):
    """The keys of such a file; a line that sshd would not understand is none."""
    found = []
    for line in map(str.strip, frames.text(data).split("\n")):  # sshd knows no other end of a line
        match = None if line.startswith("#") else KEY.match(line)
        if match:
            try:
                found.append(Key(match))
            except (binascii.Error, ValueError):
                continue
    return found


def files_of(user, elsewhere):
    """Where sshd looks for a user's keys. Raises OSError when its configuration cannot be told."""
    words = (_told_by_sshd(user.name) if elsewhere else USUAL).split()
    values = {"%": "%", "h": user.home, "u": user.name, "U": str(user.uid)}
    told = [TOKEN.sub(lambda found: values[found.group(1)], word) for word in words if word.lower() != "none"]
    paths = [word if word.startswith("/") else user.home.rstrip("/") + "/" + word for word in told]
    if not paths:
        raise OSError("sshd looks for keys in no file")
    return paths


def _told(some):
    return [str(key) for key in some[:MOST]]


def read(path):
    """(stat result or None, bytes) of a file of keys; Refused as `plain.read`, also where it may never answer."""
    if drift_files.is_below(frames.raw(path), drift_files.places_that_may_not_answer()):
        raise walk.Refused(plain.UNREADABLE, "lies on a file system that another machine or process answers for")
    try:
        return plain.read(path)
    except FileNotFoundError:
        return None, b""


def is_configured():
    """Whether sshd is told to look elsewhere; only then it is asked, as that costs a process for each user."""
    return any(NAMED.search(_content(path)) for pattern in CONFIGURATION for path in glob.glob(pattern))


def _content(path):
    try:
        with open(path, "rb") as stream:
            return stream.read(1 << 20)
    except OSError:
        return b""


def _told_by_sshd(name):
    program = tools.find("sshd")
    if program is None:
        return USUAL
    answer = tools.run([program, "-T", "-C", "user=%s,host=localhost,addr=127.0.0.1" % name], limit=LIMIT)
    if not answer.ok:
        raise OSError("sshd -T: " + answer.error())
    for line in frames.text(answer.stdout).splitlines():
        if line.lower().startswith("authorizedkeysfile "):
            return line.partition(" ")[2]
    return USUAL
