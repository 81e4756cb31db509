"""Corrects settings of the running kernel, and holds of packages."""

import os
import re

from .. import frames
from ..files import walk
from ..host import tools
from ..packages import managers, marks
from . import drift_kernel

FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
LAST = "/etc/sysctl.conf"
SETTINGS_FILE = re.compile(r"/etc/sysctl\.(?:conf|d/[^/]+\.conf)")


def prepare(change, _args, _out):
    """The way to correct a setting. Raises Refused."""
    asked = change["object"]
    return Setting(asked["name"], str(asked["wanted"]["value"]), asked["found"]["value"])


def prepare_hold(change, _args, _out):
    """The way to set or lift a hold. Raises Refused."""
    if managers.choose().name != "apt" or tools.find("apt-mark") is None:
        raise walk.Refused("lacks", "holds are only set with apt")
    return Hold(change["object"]["name"], bool(change["object"]["wanted"]["held"]))


class Setting:
    """A value of the running kernel."""

    path = None

    def __init__(self, name, value, was):
        self._name, self._value, self._was = name, value, was

    def undo(self):
        """How it is taken back."""
        return [{"do": "setting", "name": self._name, "was": self._was}]

    def make(self):
        """Set it."""
        _set(self._name, self._value)

    def measured(self):
        """What the report tells: whether the next boot will have it as well."""
        return {"lasting": _lasting(self._name) == drift_kernel.squeezed(self._value)}

    def close(self):
        """Nothing is held."""


class Hold:
    """Whether upgrades leave a package alone."""

    path = None

    def __init__(self, package, held):
        self._package, self._held = package, held

    def undo(self):
        """How it is taken back."""
        return [{"do": "hold", "package": self._package, "was": not self._held}]

    def make(self):
        """Set or lift it."""
        _mark(self._package, self._held)

    def measured(self):
        """What the report tells."""
        return {}

    def close(self):
        """Nothing is held."""


def set_back(part, booting):
    """Take a setting back; a boot has done so."""
    if not booting:
        _set(part["name"], part["was"])


def hold_back(part, _booting):
    """Take a hold back."""
    _mark(part["package"], part["was"])


def _set(name, value):
    descriptor = os.open(drift_kernel.path_of(name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, frames.raw(value) + b"\n")  # in one call, as the kernel wants it
    finally:
        os.close(descriptor)


def _mark(package, held):
    answer = marks.run("hold" if held else "unhold", "--", package)
    if answer is None or not answer.ok:
        raise walk.Refused("tool_failed", "apt-mark: %s" % (answer.error() if answer else "not on the host"))


def as_it_runs(path, content):
    """Parts that take back what a file of sysctl.d sets while the host runs. Raises Refused if they cannot be told."""
    if content is None or not SETTINGS_FILE.fullmatch(path):
        return []
    parts = []
    for name, _ in _assignments(frames.text(content)):
        if set(name) & set("*?["):
            raise walk.Refused("not_allowed", "%s stands for settings that could not all be set back" % name)
        try:
            parts.append({"do": "setting", "name": name, "was": drift_kernel.setting(name)})
        except OSError:
            continue  # this kernel has none of that name, or one that nobody can read
    return parts


def _lasting(name):
    """What the files say that a boot reads; None when none speaks of it."""
    found = None
    for path in _files():
        for key, value in _assignments(_read(path)):
            found = drift_kernel.squeezed(value) if key.replace("/", ".") == name.replace("/", ".") else found
    return found


def _assignments(text):
    """(name, value) of each line of such a file."""
    for line in text.splitlines():
        key, is_one, value = line.lstrip("- \t").partition("=")
        if is_one and line.strip()[:1] not in "#;":
            yield key.strip(), value


def _files():
    """In the order in which they are read: by their names, of two of one name that of the first folder."""
    named = {}
    for folder in FOLDERS:
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                named.setdefault(name, folder + "/" + name)
    return [named[name] for name in sorted(named)] + [LAST]


def _read(path):
    try:
        with open(path, "rb") as stream:
            return frames.text(stream.read(1 << 20))
    except OSError:
        return ""
