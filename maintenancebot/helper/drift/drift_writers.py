"""Who may have written a thing that differs, as far as the host knows: package, processes, logins, and when."""

import glob
import os

from ..host import writers
from . import held_against, logins, naming, ran

INFO = "/var/lib/dpkg/info"
"""dpkg writes a list of files here when it unpacks a package."""
MOST, ASKED = 5, 200


def of(drifted, owned):
    """{"package", "processes", "logins", "at"} for each (item, Found); `owned` has the owners of their files."""
    processes = _processes([found for _, found in drifted])
    services, present, told = ran.Ran(), logins.Present(), []
    for item, found in drifted:
        at = _changed_at(item, found)
        then = ["%s, which ran then" % unit for unit in services.at(at)]
        told.append(
            {
                "package": _package(item, found, owned),
                "processes": (processes.get(found.path, []) + then)[:MOST],
                "logins": present.at(at)[:MOST],
                "at": at,
            }
        )
    return told


def _package(item, found, owned):
    if item["kind"] == "package":
        return item["name"]
    owner = owned.get(found.path)
    return owner.package if owner is not None else ""


def _changed_at(item, found):
    """When it was last changed, None where nobody knows."""
    if item["kind"] != "package":
        return found.at
    lists = glob.glob("%s/%s.list" % (INFO, item["name"])) + glob.glob("%s/%s:*.list" % (INFO, item["name"]))
    try:
        return max((int(os.stat(path).st_mtime) for path in lists), default=None)
    except OSError:  # removed in this very moment
        return None


def _processes(found):
    """{path: processes} that have a file open for writing, or name it."""
    plain = [one for one in found if one.path and one.state not in (held_against.LINK, held_against.SPECIAL)]
    keys = {one.path: one.key for one in plain[:ASKED]}
    opened, named = writers.among([key for key in keys.values() if key is not None]), naming.of(list(keys))
    told = {}
    for path, key in keys.items():
        told[path] = [_told(writer) for writer in opened.get(key, [])]
        told[path] += ["%s, %s" % (_told(writer), how) for writer, how in named[path]]
    return told


def _told(writer):
    return "%s%s" % (writer, " of %s" % writer.unit if writer.unit else "")
