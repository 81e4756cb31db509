"""Declared users and groups, by the host's own files. What stands in the place of a password is never told."""

import os

from ..host import accounts
from . import held_against


def look(items, out=None):
    """See `drift.LOOKS`."""
    users, groups = accounts.users(), accounts.groups()
    made = []
    for item in items:
        look_at = _user if item["kind"] == "user" else _group
        path = accounts.PASSWD if item["kind"] == "user" else accounts.GROUP
        made.append(look_at(item["name"], item["wanted"], users, groups).lies_in(path, os.stat(path)))
    return made


def _user(name, wanted, users, groups):
    user = users.get(name)
    if user is None:
        return _nobody(wanted, "passwd")
    if held_against.is_unwanted(wanted):
        return held_against.unexpected({"state": held_against.PRESENT, "uid": user.uid})
    try:
        locked = is_locked(name) if "locked" in wanted else None
    except OSError as error:
        return held_against.unreadable("shadow: %s" % error.strerror)
    mine = memberships(user, groups)
    lacks = [group for group in wanted.get("groups", []) if group not in mine]
    found = {
        "state": held_against.PRESENT,
        "uid": user.uid,
        "groups": mine if lacks else wanted.get("groups"),
        "shell": user.shell,
        "home": user.home,
        "locked": locked,
    }
    return held_against.compared(wanted, found, error="not in %s" % ", ".join(lacks) if lacks else "")


def _group(name, wanted, users, groups):
    group = groups.get(name)
    if group is None:
        return _nobody(wanted, "group")
    if held_against.is_unwanted(wanted):
        return held_against.unexpected({"state": held_against.PRESENT, "gid": group.gid})
    primary = [user.name for user in users.values() if user.gid == group.gid]
    lacks = [one for one in wanted.get("members", []) if one not in group.members + primary]
    found = {
        "state": held_against.PRESENT,
        "gid": group.gid,
        "members": sorted(group.members) if lacks else wanted.get("members"),
    }
    return held_against.compared(wanted, found, error="without %s" % ", ".join(lacks) if lacks else "")


def memberships(user, groups):
    """The names of the groups that a user is in, its own first."""
    own = [group.name for group in groups.values() if group.gid == user.gid]
    return own + sorted(group.name for group in groups.values() if user.name in group.members and group.name not in own)


def is_locked(name):
    """Whether no password lets that user in; OSError without root."""
    return accounts.passwords().get(name, "!").startswith(("!", "*"))


def _nobody(wanted, database):
    """Not among the host's own; where other services are asked too, that says nothing."""
    others = accounts.others(database)
    if others and not held_against.is_unwanted(wanted):
        return held_against.unreadable(
            "not among the host's own; nsswitch.conf asks %s too, which is not looked at" % ", ".join(others)
        )
    return held_against.absent(wanted)
