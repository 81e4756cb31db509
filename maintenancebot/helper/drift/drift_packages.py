"""Declared packages: installed or not, in which version, on hold or not; by the database of the host's own manager."""

import fnmatch

from ..packages import dpkg, holds, managers, rpm
from . import held_against


def look(items, out=None):
    """See `drift.LOOKS`."""
    chosen = managers.choose()
    if not chosen.name:
        return [held_against.not_applicable(chosen.why) for _ in items]
    try:
        installed = _dpkg() if chosen.name == "apt" else _rpm(chosen.name, out)
    except (OSError, rpm.RpmError) as error:
        return [held_against.unreadable(error) for _ in items]
    return [_compare(installed, item) for item in items]


class Installed:
    """A package by its name: its versions, whether it is on hold, and its state unless it is whole."""

    def __init__(self, versions, held, broken=""):
        self.versions, self.held, self.broken = versions, held, broken


def _compare(installed, item):
    wanted, package = item["wanted"], installed.get(item["name"])
    if package is None:
        return held_against.absent(wanted)
    version = next((one for one in package.versions if _matches(one, wanted)), package.versions[0])
    if held_against.is_unwanted(wanted):
        return held_against.unexpected({"state": "installed", "version": version}, state="installed")
    told = wanted["version"] if _matches(version, wanted) and "version" in wanted else version
    found = {"state": package.broken or "installed", "version": told, "held": package.held}
    made = held_against.compared(wanted, found, error=package.broken)
    made.identity = dict(made.found, version=version, held=package.held)
    made.found.update({"version": version} if "version" in wanted else {})
    return made


def _matches(version, wanted):
    return fnmatch.fnmatchcase(version, wanted.get("version", "*"))


def _dpkg():
    """By name, and by `name:architecture`."""
    found = {}
    for (name, arch), package in sorted(dpkg.packages().items()):
        broken = "" if package.whole else package.state if package.flag == "ok" else package.flag
        one = Installed([package.version], package.held, broken)
        found["%s:%s" % (name, arch)] = one
        if name in found:
            found[name] = Installed(found[name].versions + one.versions, found[name].held or one.held, one.broken)
        else:
            found[name] = one
    return found


def _rpm(manager, out):
    """By name, and by `name.architecture`; a package that is locked in any version is held."""
    found, locked = {}, holds.locked(manager)
    for (name, arch), versions in sorted(rpm.installed(out).items()):
        one = Installed([package.evr for package in versions], holds.is_locked(name, locked))
        found["%s.%s" % (name, arch)] = found[name] = one
    return found
