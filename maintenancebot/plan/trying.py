"""Which corrections a new login could not try, so that only the next boot would show what they do. Pure.

The host has the same rules in `helper/taking_up.py`, asked again right before the change; a test holds both together.
"""

from __future__ import annotations

import re

from maintenancebot.settings import Item, ItemKind

SSHD = re.compile(r"(?:/usr)?/etc/ssh/(?!ssh_host_|ssh_config|ssh_known_hosts|sshrc$|moduli$).+")
"""Files that sshd reads at its start, also as `Include`; what others of these are, nobody can tell by their names."""
AT_LOGIN = re.compile(
    r"/etc/(pam\.conf|pam\.d/.+|security/.+|sudo[^/]*(/.+)?|doas\.conf|login\.defs|securetty|nologin|shells|environment"
    r"|profile(\.d/.+)?|bash.+|zsh.+|nsswitch\.conf|krb5\.conf(\.d/.+)?|hosts(\.allow|\.deny)?|resolv\.conf"
    r"|ld\.so\.preload|ssh/(?!ssh_host_)[^/]+|polkit-1/.+)|/usr/lib/pam\.d/.+|.*/(\.ssh/.+|\.(bash|zsh)[^/]*|\.profile)"
)
"""Files that are read anew for each login, and each time somebody becomes root."""

ONLY_AT_BOOT = ("/etc/netplan/", "/etc/NetworkManager/", "/etc/sysconfig/network", "/etc/selinux/", "/etc/dhcp")
"""Files that no reload of a unit brings into force in full."""


def objection(item: Item) -> str:
    """Why an item that could lock everybody out is left to a person; empty when a login can try it."""
    if item.kind is ItemKind.SERVICE:
        return _of_unit(item)
    if item.kind is not ItemKind.FILE:
        return ""
    if item.name.startswith(ONLY_AT_BOOT):
        return "only the next boot would try it"
    if item.reload or SSHD.fullmatch(item.name) or AT_LOGIN.fullmatch(item.name):
        return ""
    return "only the next boot would try it, without `reload`"


def _of_unit(item: Item) -> str:
    """Asked of all that is declared; the host knows what of it differs."""
    boots = False if item.wanted.get("masked") else item.wanted.get("enabled")
    if boots is None or item.wanted.get("active", boots) == boots:
        return ""
    return "only the next boot would try it: `active` does not match"
