"""What makes a correction count on the running host, so that a login afterwards tries it and not what was before.

What only the next boot, or somebody's next restart, would take up cannot be proven now: when it locks everybody out
then, nothing is there any more that takes it back.
"""

import re

from ..files import walk
from . import validators, well

SSHD = re.compile(r"(?:/usr)?/etc/ssh/(?!ssh_host_|ssh_config|ssh_known_hosts|sshrc$|moduli$).+")
"""Files that sshd reads at its start, also as `Include`; what others of these are, nobody can tell by their names."""
SSHD_UNITS = ("ssh.service", "sshd.service")
SSHD_SOCKETS = ("ssh.socket", "sshd.socket")
AT_LOGIN = re.compile(
    r"/etc/(pam\.conf|pam\.d/.+|security/.+|sudo[^/]*(/.+)?|doas\.conf|login\.defs|securetty|nologin|shells|environment"
    r"|profile(\.d/.+)?|bash.+|zsh.+|nsswitch\.conf|krb5\.conf(\.d/.+)?|hosts(\.allow|\.deny)?|resolv\.conf"
    r"|ld\.so\.preload|ssh/(?!ssh_host_)[^/]+|polkit-1/.+)|/usr/lib/pam\.d/.+|.*/(\.ssh/.+|\.(bash|zsh)[^/]*|\.profile)"
)
"""Files that are read anew for each login, and each time somebody becomes root."""
ONLY_AT_BOOT = ("/etc/netplan/", "/etc/NetworkManager/", "/etc/sysconfig/network", "/etc/selinux/", "/etc/dhcp")
"""Files that no reload of a unit brings into force in full."""
AT_START = ("/etc/default/", "/etc/sysconfig/")
"""Files with the environment of units, which they get when they start."""


def unit_for(change, way):
    """The unit that must take a corrected file up; empty when there is none to tell. Raises Refused."""
    asked = change["object"]
    if way.path is None or not asked["lockout"]:
        return asked["reload"]
    if way.path.startswith(ONLY_AT_BOOT):
        raise walk.Refused("needs_reload", "a login would not try it before the next boot; this is a person's")
    is_sshds = asked["kind"] != "keys" and SSHD.fullmatch(way.path)
    unit = asked["reload"] or (_sshd() if is_sshds else "")
    if unit and not _runs(unit):
        raise walk.Refused("needs_reload", "%s does not run, so that a login would not try it" % unit)
    if unit or is_sshds or (asked["kind"] == "keys" or AT_LOGIN.fullmatch(way.path)):
        return unit
    raise walk.Refused("needs_reload", "a login would not try it before the next boot: declare `reload`")


def needs_restart(way):
    """Whether a reload would not do: a unit's own file, and its environment, count from its next start on."""
    return way.path is not None and (validators.is_of_systemd(way.path) or way.path.startswith(AT_START))


def must_be_tried(unit, wanted):
    """Raise Refused unless the unit is now as the next boot will have it, so that a login tries that."""
    boots = not wanted["masked"] if "masked" in wanted else wanted.get("enabled")
    if wanted.get("enabled") is False:
        boots = False
    if boots is None:
        return
    now = wanted["active"] if "active" in wanted else _runs(unit)
    if now != boots:
        raise walk.Refused("needs_reload", "a login would not try it before the next boot: declare `active` as well")


def _sshd():
    """The unit of the running sshd; empty where each connection starts one of its own. Raises Refused."""
    unit = next(filter(_runs, SSHD_UNITS), "")
    if not unit and not any(map(_runs, SSHD_SOCKETS)):
        raise walk.Refused("needs_reload", "no sshd runs by a unit of its own; declare `reload`")
    return unit


def _runs(unit):
    return well.look(unit).get("ActiveState") in well.UP
