"""Packages that somebody asked for, units that are switched on or masked, settings, mounts and words of the kernel."""

import glob
import re

from .. import frames, redact
from ..host import facts, tools
from ..packages import dpkg, holds, managers, marks, rpm
from ..trash import places
from . import drift_kernel, drift_mounts, drift_units

SETTINGS = ("/etc/sysctl.conf", "/etc/sysctl.d/*.conf")
SETTING = re.compile(r"^\s*-?([A-Za-z0-9_][A-Za-z0-9_./@:-]*)\s*=", re.M)
UNITS = "service,timer,socket"
OF_ONE_HOST = re.compile(r"^(?:BOOT_IMAGE|root|rootflags|initrd|resume|console|ip)=|^(?:ro|rw|quiet|splash)$")
LIMIT = 60


def packages():
    """(name, wanted): with apt those that are no mere dependencies, else all."""
    manager = managers.choose()
    if not manager.name:
        raise ValueError(manager.why)
    if manager.name == "apt":
        named = set(frames.text(_output("apt-mark", marks.run("showmanual"))).split())
        found = {name: package.held for (name, _), package in dpkg.packages().items() if package.whole}
        held = {name: is_held for name, is_held in found.items() if is_held or name in named}
    else:
        locked = holds.locked(manager.name)
        held = {name: holds.is_locked(name, locked) for name, _ in rpm.installed()}
    for name, is_held in sorted(held.items()):
        yield name, dict({"state": "installed"}, **({"held": True} if is_held else {}))


def services():
    """(unit, wanted) of those that are enabled or masked."""
    program = tools.find("systemctl")
    words = ["list-unit-files", "--no-legend", "--no-pager", "--type=" + UNITS]
    text = frames.text(_output("systemctl", tools.run([program, *words], limit=LIMIT) if program else None))
    states = dict(line.split()[:2] for line in text.splitlines() if len(line.split()) > 1)
    units, _ = drift_units.shown(program, [name for name in states if not drift_units.is_template(name)])
    for name, unit in sorted(units.items()):
        if states[name] == "enabled":
            yield name, dict({"enabled": True}, **({"active": True} if unit["ActiveState"] == "active" else {}))
        elif states[name] == "masked":
            yield name, {"masked": True}


def settings():
    """(name, wanted) of what is set in files of this host, as the kernel has it."""
    names = {name for pattern in SETTINGS for path in glob.glob(pattern) for name in SETTING.findall(_text(path))}
    for name in sorted(names):
        try:
            value = drift_kernel.setting(name)
        except OSError:
            continue
        if value:
            yield name, {"value": value}


def mounts():
    """(mount point, wanted) of those that fstab names and that are there, without their devices."""
    table = drift_mounts.mounted()
    for line in _text(places.FSTAB).splitlines():
        fields = [frames.text(facts.unescape(frames.raw(field))) for field in line.split()]
        row = table.get(frames.raw(fields[1])) if len(fields) > 3 and fields[1].startswith("/") else None
        if row is not None and not line.lstrip().startswith("#"):
            options = [one for one in fields[3].split(",") if drift_mounts.is_kept(one, row["options"])]
            yield fields[1], dict({"fs_type": row["fs_type"]}, **({"options": options} if options else {}))


def kernel():
    """(word, wanted) of the command line's words that are about more than this host."""
    for word in drift_kernel.command_line() or []:
        if not OF_ONE_HOST.match(word) and redact.redact(word) == word:
            yield word, {"state": "present"}


def _output(program, answer):
    """What a program printed. Raises OSError when it is not there or did not end well."""
    if answer is None:
        raise OSError("no %s on the host" % program)
    if not answer.ok:
        raise OSError("%s: %s" % (program, answer.error()))
    return answer.stdout


def _text(path):
    try:
        with open(path, "rb") as stream:
            return frames.text(stream.read(1 << 20))
    except OSError:
        return ""
