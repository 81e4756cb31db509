"""What a corrected file is made of: the declared bytes, owner and mode, and all else of the file that it replaces."""

import base64
import binascii
import hashlib
import os
import stat

from ..files import faithful, fresh, walk
from ..host import accounts

SIGNED = frozenset(["security.ima"])
"""Attributes that are about the old content alone."""
LABEL = "security.selinux"
CAPABILITY = "security.capability"


def content_of(wanted, args):
    """The declared bytes, None where there are none. Raises Refused when they are not what is wanted."""
    if "content" not in args:
        return None
    try:
        content = base64.b64decode(args["content"].encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise walk.Refused("garbled", "the content did not arrive as it was sent") from error
    if wanted.get("sha256") != hashlib.sha256(content).hexdigest() and wanted.get("state") != "absent":
        raise walk.Refused("garbled", "the content is not the declared one")
    return content


def declared(wanted, otherwise):
    """(uid, gid, mode): as declared, else as given. Raises Refused for a name that the host does not have.

    A new owner does not lend his rights to whoever runs the file, unless that is declared.
    """
    uid, gid, mode = otherwise
    if "owner" in wanted:
        uid = _number(wanted["owner"], accounts.users(), "uid", "user")
    if "group" in wanted:
        gid = _number(wanted["group"], accounts.groups(), "gid", "group")
    if "mode" in wanted:
        return uid, gid, int(wanted["mode"], 8)
    return uid, gid, mode if (uid, gid) == otherwise[:2] else mode & ~(stat.S_ISUID | stat.S_ISGID)


def _number(name, known, field, kind):
    if name in known:
        return getattr(known[name], field)
    if str(name).isdigit():
        return int(name)
    raise walk.Refused("not_applicable", "the host has no %s %s" % (kind, name))


def fill(fd, content, wanted, attributes):
    """Write a candidate: bytes, owner, attributes and access lists, mode."""
    fresh.write_all(fd, content)
    dress(fd, wanted, attributes)


def kept(fd, owner):
    """What a new version of an open file keeps of its attributes and access lists, with this (uid, gid)."""
    was = os.fstat(fd)
    lost = SIGNED if (was.st_uid, was.st_gid) == tuple(owner) else SIGNED | {CAPABILITY}
    return {name: value for name, value in faithful.attributes(fd).items() if name not in lost}


def capability(fd):
    """The capabilities of an open file, as an attribute; the kernel takes them away with each change of the owner."""
    return {name: value for name, value in faithful.attributes(fd).items() if name == CAPABILITY}


def label(folder):
    """A new file's label is that of its folder, as if it had been made there."""
    return {name: value for name, value in faithful.attributes(folder).items() if name == LABEL}


def dress(fd, wanted, attributes=None):
    """Give an open file its owner, attributes and mode, on the disk. Raises Refused if it takes them not."""
    uid, gid, mode = wanted
    was = os.fstat(fd)
    if (was.st_uid, was.st_gid) != (uid, gid):  # it would cost the file its capabilities, even for the same owner
        os.fchown(fd, uid, gid)
    for name, value in (attributes or {}).items():
        os.setxattr(fd, name, base64.b64decode(value))
    os.fchmod(fd, mode)
    os.fsync(fd)
    found = os.fstat(fd)
    if (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) != (uid, gid, mode):
        raise walk.Refused("write_error", "this file system does not keep owner and mode")
    if set(attributes or ()) - set(faithful.attributes(fd)):
        raise walk.Refused("write_error", "this file system does not keep the file's attributes")
