"""Takes an upgrade back after a failed check: once, only what it changed, only where apt can do just that."""

import fnmatch
import json
import os
import time

from .. import frames
from ..host import tools, unit
from . import apt, apt_get, dpkg, marks, weights
from .known_bad import NOTES

NEVER = (
    *("libc6*", "libc-bin", "libc-dev*", "locales*", "linux-*", "systemd*", "libsystemd*", "libudev*", "udev", "init*"),
    *("sysvinit*", "dpkg*", "apt", "apt-*", "libapt-*", "grub*", "shim*", "base-files", "libpam*", "initramfs-tools*"),
    *("postgresql*", "mysql*", "mariadb*", "mongodb*", "redis*", "valkey*", "elasticsearch*", "opensearch*", "slapd"),
    *("influxdb*", "cassandra*", "rabbitmq*", "couchdb*", "clickhouse*"),
)
"""What is never taken back: the ground that all else stands on, and what may have changed its data already."""

SAYS = "maintainer scripts do not downgrade"
NOTES_KEPT = 200
SUFFIX = "-rollback"


class Way:
    """What can be taken back: the items, their files, and {package: why not} for the rest."""

    def __init__(self, items, files, not_undone):
        self.items = items
        self.files = files
        self.not_undone = not_undone

    def nothing(self, why):
        """The same without anything to take back."""
        return Way([], [], dict(self.not_undone, **{item["package"]: why for item in self.items}))


def way_back(wanted, files, missing, never):
    """The Way for what is not as it was before; apt must be able to do exactly that and no more."""
    found = dpkg.packages()
    items, not_undone = [], {}
    for item in wanted:
        name = item["package"]
        package = weights.installed(name, item["architecture"], found)
        if package is None or (package.version == item["from"] and package.whole):
            continue
        why = reason_against(item, files, missing, never)
        if why:
            not_undone[name] = why
        else:
            items.append(item)
    way = Way(items, [files[item["package"]] for item in items], not_undone)
    objection = objection_of_apt(way) if items else ""
    return way.nothing(objection) if objection else way


def reason_against(item, files, missing, never):
    """Why one changed package is not taken back, empty when it can be."""
    name = item["package"]
    if not item["from"]:
        return "newly installed, it stays"
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in (*NEVER, *never)):
        return "never taken back by itself"
    return "" if name in files else missing.get(name, "its old version was not fetched")


def objection_of_apt(way):
    """Why apt would not do exactly this, empty when it would."""
    argv = apt_get.downgrade(0, way.files)
    answer = tools.run([*argv[:1], "--simulate", *argv[1:]], limit=apt.LIMIT, env=apt_get.environment())
    if answer.timed_out or answer.cut:
        return "apt's simulation: " + answer.error()
    simulation = apt.Simulation(answer.ok, frames.text(answer.stdout), frames.text(answer.stderr))
    if not simulation.ok:
        return "apt cannot take it back: " + simulation.error()
    if simulation.removals:
        return "apt would remove " + ", ".join(item["name"] for item in simulation.removals)
    would = {(item["name"], item["to"]) for item in simulation.installs}
    more = would - {(item["package"], item["from"]) for item in way.items}
    if more:
        return "apt would also install " + ", ".join("%s=%s" % pair for pair in sorted(more))
    return ""


def take_back(run, way, lock_timeout, out):
    """Install the old files in a run of their own; {package: fault} of those that are not back afterwards."""
    locked = dpkg.wait_for_locks(lock_timeout, out)
    if locked:
        return {item["package"]: locked for item in way.items}
    automatic = marks.automatic([item["package"] for item in way.items])
    record = {"packages": [], "rollback_of": run.name}
    argv = apt_get.downgrade(lock_timeout, way.files)
    try:
        back = unit.start(run.name + SUFFIX, argv, apt_get.environment(), record)
    except (unit.StartError, OSError) as error:
        return {item["package"]: str(error) for item in way.items}
    code = back.wait(out)
    marks.restore(automatic)
    found = dpkg.packages()
    faults = {}
    for item in way.items:
        package = weights.installed(item["package"], item["architecture"], found)
        if package is None or package.version != item["from"] or not package.whole:
            state = "%s, %s" % (package.version, package.state) if package else "gone"
            faults[item["package"]] = "is %s; apt-get ended with %s, see %s" % (state, code, back.log)
    return faults


def known_bad():
    """Versions that failed on this host: rows of package, version, at (epoch seconds) and why."""
    try:
        with open(unit.FOLDER + "/" + NOTES, "rb") as stream:
            rows = json.loads(stream.read().decode("ascii"))
        return [row for row in rows if {"package", "version", "at", "why"} <= set(row)]
    except (OSError, ValueError, TypeError):
        return []


def remember(items, why):
    """Note that these packages failed in their new versions; the newest notes are kept."""
    pairs = {(item["package"], item["to"]) for item in items}
    kept = [row for row in known_bad() if (row["package"], row["version"]) not in pairs]
    now = int(time.time())
    kept += [{"package": name, "version": version, "at": now, "why": why[:300]} for name, version in sorted(pairs)]
    data = json.dumps(kept[-NOTES_KEPT:], sort_keys=True, indent=1).encode("ascii")
    unit.replace(unit.FOLDER + "/" + NOTES, data + b"\n")


def culprits(items, bad, units, found):
    """The items to remember: those that own a unit that failed, else all, since any may have broken it."""
    names = set()
    for fault in bad:
        if fault["kind"] == "unit":
            names |= owners((units or {}).get(fault["name"], {}).get("file", ""), found)
    mine = [item for item in items if item["package"] in names]
    return mine or list(items)


def owners(path, found):
    """The packages that a file belongs to."""
    if not path:
        return set()
    other = path[4:] if path.startswith("/usr/") else "/usr" + path
    names = set()
    for one in (path, other):
        answer = tools.run([tools.find("dpkg-query"), "--search", "--", one])
        for line in frames.text(answer.stdout).splitlines() if answer.ok else ():
            names |= {word.strip().partition(":")[0] for word in line.rpartition(": ")[0].split(",")}
    return names & {name for name, _arch in found}


def of(run):
    """The rollback of a run, None if there was none."""
    folder = run.folder + SUFFIX
    return unit.Run(folder) if os.path.isdir(folder) else None
