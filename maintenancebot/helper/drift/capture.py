"""Tells a good host's state in the words of a baseline: hashes, names and numbers, never the contents of files."""

import os

from ..results import Result
from . import capture_files, capture_people, capture_system

PARTS = (
    ("file", capture_files.files),
    ("package", capture_system.packages),
    ("service", capture_system.services),
    ("sysctl", capture_system.settings),
    ("user", capture_people.users),
    ("group", capture_people.groups),
    ("keys", capture_people.keys),
    ("crontab", capture_people.crontabs),
    ("mount", capture_system.mounts),
    ("kernel", capture_system.kernel),
)
"""Kind -> its things, as pairs of name and what a baseline would want of it."""

MOST = 2000
"""Things of one kind: whoever trims a baseline reads no more."""


def probe(args, out):
    """A finding `item` for each thing that a baseline could declare; `facts` names the kinds that could not be read."""
    if os.geteuid() != 0:
        return Result("skipped", "needs_root", "only root can read all that a baseline declares")
    troubles = {}
    for kind, told in PARTS:
        out.alive("capturing %s" % kind)
        try:
            for count, (name, wanted) in enumerate(told()):
                if count == MOST:
                    troubles[kind] = "more than %d" % MOST
                    break
                out.finding("item", "%s:%s" % (kind, name), wanted=wanted)
        except (OSError, ValueError, LookupError) as error:
            troubles[kind] = str(error)[:300]
    detail = "; ".join("%s: %s" % pair for pair in sorted(troubles.items()))
    return Result("ok", "", detail, {"troubles": troubles})
