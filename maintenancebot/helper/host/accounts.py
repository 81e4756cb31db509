"""The host's own users and groups, from their files; services that could never answer are not asked."""

from .. import frames

PASSWD, GROUP, SHADOW, SWITCH = "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/nsswitch.conf"
CAP = 16 << 20
LOCAL = ("files", "compat", "systemd", "db", "altfiles", "myhostname")


class User:
    """A row of passwd."""

    def __init__(self, fields):
        self.name, _, uid, gid, _, self.home, self.shell = fields[:7]
        self.uid, self.gid = int(uid), int(gid)


class Group:
    """A row of group."""

    def __init__(self, fields):
        self.name, _, gid, members = fields[:4]
        self.gid = int(gid)
        self.members = [member for member in members.split(",") if member]


class Names:
    """Names of numbers, as the host's own files have them; a number without a name stays one."""

    def __init__(self):
        self._users = _by_number((user.uid, user.name) for user in users().values())
        self._groups = _by_number((group.gid, group.name) for group in groups().values())

    def user(self, uid, wanted=None):
        """The wanted name (or number) if it means that user, else the first name."""
        return _named(self._users, uid, wanted)

    def group(self, gid, wanted=None):
        """The same for a group."""
        return _named(self._groups, gid, wanted)


def users():
    """{name: User}; OSError when passwd cannot be read."""
    return _by_name(User, rows(PASSWD, 7))


def groups():
    """{name: Group}; OSError when the file cannot be read."""
    return _by_name(Group, rows(GROUP, 4))


def passwords():
    """{name: what stands in the place of its password}; OSError without root."""
    return {fields[0]: fields[1] for fields in rows(SHADOW, 2)}


def others(database):
    """What else than the host's own files nsswitch.conf lets answer for `passwd` or `group`."""
    try:
        lines = _lines(SWITCH)
    except OSError:
        return []
    words = [line.partition(":")[2].split() for line in lines if line.partition(":")[0].strip() == database]
    return [word for word in (words[-1] if words else []) if word[0] not in "[]=" and word not in LOCAL]


def rows(path, least):
    """The rows of such a file with at least so many fields; one that is damaged is passed over, as the host does."""
    for line in _lines(path):
        fields = line.split(":")
        if len(fields) >= least and fields[0] and fields[0][0] not in "+-#":
            yield fields


def _by_name(kind, found):
    named = {}
    for fields in found:
        try:
            one = kind(fields)
        except ValueError:
            continue
        named.setdefault(one.name, one)
    return named


def _by_number(pairs):
    numbered = {}
    for number, name in pairs:
        numbered.setdefault(number, []).append(name)
    return numbered


def _named(numbered, number, wanted):
    found = [*numbered.get(number, []), str(number)]
    return wanted if wanted in found else found[0]


def _lines(path):
    with open(path, "rb") as stream:
        return frames.text(stream.read(CAP)).split("\n")
