"""How one declared item was found: what every kind of item answers with."""

from ..files import plain

MISSING, UNEXPECTED, DIFFERS = "missing", "unexpected", "differs"
NOT_APPLICABLE = "not_applicable"
LINK, SPECIAL, UNREADABLE = plain.LINK, plain.SPECIAL, plain.UNREADABLE
PRESENT, ABSENT = "present", "absent"
MOST_PARTS, MOST_TEXT = 100, 4000


class Found:
    """One item as the host has it; `state` is empty when it is as declared.

    `found` has the keys of what is wanted, `identity` what a correction must meet again, `path` the file that holds it,
    if one does, `key` its device and inode, and `at` when it was last changed, None where nobody knows.
    """

    __slots__ = ("at", "differs", "error", "found", "identity", "key", "path", "state")

    def __init__(self, state="", found=None, differs=(), identity=None, error=""):
        self.state = state
        self.found = found or {}
        self.differs = sorted(differs)
        self.identity = identity if identity is not None else dict(self.found)
        self.error = error
        self.path, self.key, self.at = "", None, None

    def lies_in(self, path, facts=None):
        """Name the file that holds it, with its stat result; returns itself."""
        self.path = path
        if facts is not None:
            self.key, self.at = (facts.st_dev, facts.st_ino), int(facts.st_ctime)  # no program can set it
        return self


def compared(wanted, found, identity=None, error=""):
    """What is there, key by key beside what is wanted; a wanted key that nobody looked at is no match."""
    unknown = sorted(set(wanted) - set(found))
    if unknown:
        return unreadable("cannot be compared: %s" % ", ".join(unknown))
    differs = [key for key, value in found.items() if key in wanted and value != wanted[key]]
    told = {key: _cut(value) for key, value in found.items() if key in wanted}
    return Found(DIFFERS if differs else "", told, differs, identity if identity is not None else told, error)


def _cut(value):
    """What can be told of a value; a group may have a hundred thousand members."""
    if isinstance(value, list):
        return value[:MOST_PARTS]
    return value[:MOST_TEXT] if isinstance(value, str) else value


def absent(wanted, error=""):
    """The thing is not there; as declared where it should not be."""
    state = "" if wanted.get("state") == ABSENT else MISSING
    return Found(state, {"state": ABSENT}, ["state"] if state else [], error=error)


def unexpected(identity=None, error="", state=PRESENT):
    """The thing is there and should not be."""
    return Found(UNEXPECTED, {"state": state}, ["state"], identity, error)


def is_unwanted(wanted):
    """Whether it is declared that the thing is not there."""
    return wanted.get("state") == ABSENT


def unreadable(error):
    """Nobody knows."""
    return Found(UNREADABLE, error=str(error))


def not_applicable(error):
    """The host has no such thing, and cannot have it."""
    return Found(NOT_APPLICABLE, error=error)
