"""Users who can log in, groups with members, authorized keys and crontabs."""

import os

from .. import frames, redact
from ..files import walk
from ..host import accounts
from . import drift_accounts, drift_crontabs, drift_keys

FIRST, NOBODY = 1000, 65534
"""Numbers of people; the last one is of nobody."""


def users():
    """(name, wanted)."""
    known = accounts.groups()
    for user in _people():
        yield (
            user.name,
            {
                "uid": user.uid,
                "groups": drift_accounts.memberships(user, known),
                "shell": user.shell,
                "home": user.home,
                "locked": drift_accounts.is_locked(user.name),
            },
        )


def groups():
    """(name, wanted) of groups that have members, or are people's."""
    own = frozenset(user.name for user in _people())
    for group in accounts.groups().values():
        if group.members or (FIRST <= group.gid != NOBODY and group.name not in own):
            yield group.name, {"gid": group.gid, "members": sorted(group.members)}


def keys():
    """(user, wanted); a key whose options hold a secret is left out, and then others may be there too."""
    for user in _people():
        try:
            lines = list(_lines(user))
        except (OSError, walk.Refused):
            continue
        told = [line for line in lines if redact.redact(line) == line]
        if told:
            yield user.name, {"keys": told, "exclusive": len(told) == len(lines)}


def crontabs():
    """(user, wanted)."""
    folder = next((path for path in drift_crontabs.FOLDERS if os.path.isdir(path)), None)
    for name in sorted(os.listdir(folder)) if folder else []:
        found = drift_crontabs.look_at({"name": name, "wanted": {"sha256": "", "size": -1}}, folder)
        if found.found.get("sha256"):
            yield name, {key: found.found[key] for key in ("sha256", "size")}


def _people():
    """Root and those with a number of a person and a shell."""
    everybody = accounts.users().values()
    people = [user for user in everybody if FIRST <= user.uid != NOBODY and _is_shell(user.shell)]
    return [user for user in everybody if user.uid == 0][:1] + people


def _is_shell(path):
    return path.rpartition("/")[2] not in ("nologin", "false", "sync", "")


def _lines(user):
    for path in drift_keys.files_of(user, drift_keys.is_configured()):
        _, data = drift_keys.read(path)
        for line in frames.text(data).split("\n"):  # as `drift_keys.keys`, or a key could hide
            if drift_keys.keys(frames.raw(line)):
                yield line.strip()
