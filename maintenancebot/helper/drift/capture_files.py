"""Files below /etc that somebody made or changed: what lies there as a package brought it needs no baseline."""

import hashlib
import os
import re
import stat

from .. import frames
from ..files import plain, walk
from ..host import accounts
from ..packages import owners
from . import drift_files

TOP = b"/etc"
LARGEST = 1 << 20
ASKED = 2000
OF_ONE_HOST = re.compile(
    rb"^/etc/(?:machine-id|hostname|adjtime|mtab|resolv\.conf|ld\.so\.cache|\.pwd\.lock|\.updated|localtime|mailname"
    rb"|(?:passwd|shadow|group|gshadow|subuid|subgid)-?|ssh/ssh_host_.*|ssl/certs/.*|letsencrypt/.*|lvm/.*|udev/hwdb\.bin"
    rb"|alternatives/.*|rc[0-9S]\.d/.*|selinux/.*|pki/.*|ca-certificates.*|iscsi/.*|machine-info|fstab|crypttab)$"
)
"""What each host has for itself, what is declared as accounts, and what programs make from other files."""
LEFT_OVER = re.compile(rb"(?:~|\.bak|\.old|\.orig|\.swp|\.dpkg-[a-z]+|\.ucf-[a-z]+|\.rpm(?:new|save|orig))$")


def files():
    """(path, wanted) of each."""
    found = list(_made_or_changed(sorted(_below(TOP))))
    names = accounts.Names()
    for path, there, data in found:
        facts = drift_files.facts_of(there, {}, names)
        wanted = {key: facts[key] for key in ("size", "mode", "owner", "group")}
        yield path, dict(wanted, sha256=hashlib.sha256(data).hexdigest())


def _made_or_changed(paths):
    """(path, stat result, content) of those that are not as their package has them."""
    known = owners.of([frames.text(path) for path in paths], ASKED)
    for path in map(frames.text, paths):
        try:
            there, data = plain.read(path)
        except (OSError, walk.Refused):
            continue
        owner = known.get(path)
        if owner is None or not owner.digest or not _is_as_brought(data, owner):
            yield path, there, data


def _is_as_brought(data, owner):
    try:
        return hashlib.new(owner.algorithm, data).hexdigest() == owner.digest
    except ValueError:  # of a digest that this host does without, or that is none
        return False


def _below(top):
    """Paths of small regular files that say something about how a host is set up; no link is followed."""
    for folder, _, names in os.walk(top, followlinks=False):
        for name in names:
            path = os.path.join(folder, name)
            if OF_ONE_HOST.match(path) or LEFT_OVER.search(path):
                continue
            try:
                there = os.lstat(path)
            except OSError:
                continue
            if stat.S_ISREG(there.st_mode) and there.st_size <= LARGEST:
                yield path
