"""Which package manager a host belongs to: by its release and the database that has packages, not by what is on PATH.

A Debian host may have dnf installed, for building images; a Fedora host may have apt.
"""

import os

from ..host import facts, tools
from . import dpkg

FAMILIES = {
    "apt": ("debian", "ubuntu"),
    "dnf": ("fedora", "rhel", "centos", "rocky", "almalinux", "ol", "amzn"),
    "zypper": ("suse", "opensuse", "sles", "sle-micro", "opensuse-leap", "opensuse-tumbleweed"),
}
"""Words of ID and ID_LIKE in os-release."""

PROGRAMS = {"apt": ("apt-get",), "dnf": ("dnf", "dnf5"), "zypper": ("zypper",)}
RPM_DATABASES = tuple(
    folder + "/" + name
    for folder in ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
    for name in ("rpmdb.sqlite", "Packages", "Packages.db")
)


class Choice:
    """The manager, empty when there is none that can be used, and then why."""

    def __init__(self, name, why=""):
        self.name = name
        self.why = why


def choose():
    """The host's own package manager."""
    family = of_release(facts.os_release())
    database = {"apt": filled(dpkg.STATUS), "dnf": any(map(filled, RPM_DATABASES))}
    database["zypper"] = database["dnf"]
    usable = [name for name in FAMILIES if database[name] and program(name)]
    return decide(family, usable, [name for name in ("yum", "pacman", "apk") if tools.find(name)])


def decide(family, usable, others=()):
    """The choice by the release's family and the managers that have their program and packages in their database."""
    if family in usable:
        return Choice(family)
    if family == "dnf" and "yum" in others and not usable:
        return Choice("", "yum without dnf is not supported")
    if family:
        return Choice("", "the release belongs to %s, which has no packages or no program here" % family)
    if len(usable) == 1:
        return Choice(usable[0])
    if usable:
        return Choice("", "%s all have packages here, and the release is unknown" % " and ".join(usable))
    return Choice("", "no apt-get, dnf or zypper with packages on the host" + "".join("; %s" % o for o in others[:1]))


def of_release(release):
    """The family that os-release names; its own ID counts before what it is like."""
    for word in [release.get("ID", ""), *release.get("ID_LIKE", "").split()]:
        for name, words in FAMILIES.items():
            if word.lower() in words:
                return name
    return ""


def program(name):
    """The path of a manager's program, None when it is not there."""
    return next((path for path in map(tools.find, PROGRAMS[name]) if path), None)


def filled(path):
    """Whether a database file has anything in it."""
    try:
        return os.stat(path).st_size > 0
    except OSError:
        return False
