"""Which declared items can lock everybody out of a host when they are wrong. Pure.

A change of one of these is taken back by the host itself unless a new login works. In doubt an item counts.
"""

from __future__ import annotations

import fnmatch

from maintenancebot.settings import Item, ItemKind

PATHS = (
    # who may log in
    "/etc/ssh/*",
    "/etc/default/ssh*",
    "*/.ssh/*",
    "/etc/pam.conf",
    "/etc/pam.d/*",
    "/usr/lib/pam.d/*",
    "/etc/security/*",
    "/etc/authselect/*",
    "/etc/crypto-policies/*",
    "/usr/etc/ssh/*",
    "/usr/etc/pam.d/*",
    "/etc/login.defs",
    "/etc/securetty",
    "/etc/nologin",
    "/etc/shells",
    "/etc/environment",
    "/etc/profile",
    "/etc/profile.d/*",
    "/etc/bash*",
    "/etc/zsh*",
    "*/.bash*",
    "*/.zsh*",
    "*/.profile",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/nsswitch.conf",
    "/etc/sssd/*",
    "/etc/krb5.conf*",
    "/etc/ldap*",
    "/etc/selinux/*",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf*",
    # who may become root
    "/etc/sudo*",
    "/etc/doas.conf",
    "/etc/polkit-1/*",
    # how the host is reached
    "/etc/network/*",
    "/etc/netplan/*",
    "/etc/systemd/network/*",
    "/etc/systemd/networkd.conf*",
    "/etc/systemd/resolved.conf*",
    "/etc/systemd/logind.conf*",
    "/etc/NetworkManager/*",
    "/etc/sysconfig/network*",
    "/etc/dhcp/*",
    "/etc/dhcpcd.conf",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/hosts.allow",
    "/etc/hosts.deny",
    "/etc/wireguard/*",
    "/etc/openvpn/*",
    "/etc/ipsec*",
    # what lets nobody through
    "/etc/nftables*",
    "/etc/iptables*",
    "/etc/ipset*",
    "/etc/shorewall*",
    "/etc/ferm/*",
    "/etc/csf/*",
    "/etc/crowdsec/*",
    "/etc/sysconfig/*tables*",
    "/etc/ufw/*",
    "/etc/firewalld/*",
    "/etc/fail2ban/*",
    "/etc/sysctl.conf",
    "/etc/sysctl.d/*",
)
"""Globs of files; a `*` reaches over folders."""

UNITS = (
    "ssh*",
    "dropbear*",
    "network*",
    "NetworkManager*",
    "systemd-network*",
    "systemd-resolved*",
    "systemd-logind*",
    "systemd-user-sessions*",
    "dhcpcd*",
    "dbus*",
    "nftables*",
    "iptables*",
    "ip6tables*",
    "netfilter-persistent*",
    "ufw*",
    "firewalld*",
    "fail2ban*",
    "crowdsec*",
    "ipset*",
    "ebtables*",
    "arptables*",
    "shorewall*",
    "ferm*",
    "csf*",
    "lfd*",
    "ifup*",
    "wpa_supplicant*",
    "connman*",
    "sssd*",
    "nslcd*",
    "winbind*",
    "wg-quick*",
    "openvpn*",
    "strongswan*",
    "tailscaled*",
)
"""Globs of units, each with all that hangs on it: sockets, timers, instances."""

UNIT_FILES = tuple(f"{root}/systemd/system/" for root in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"))


def can_lock_out(item: Item, user: str) -> bool:
    """Whether a wrong value of this item may keep everybody out; `user` is who we log in as."""
    if item.reload and _is_unit(item.reload):
        return True
    if item.kind is ItemKind.FILE:
        return _matches(item.name, PATHS) or _is_file_of_unit(item.name)
    if item.kind is ItemKind.SERVICE:
        return _is_unit(item.name)
    if item.kind is ItemKind.SYSCTL:
        return item.name.startswith(("net.", "net/"))
    return item.kind is ItemKind.KEYS and item.name in (user, "root")


def is_shared(path: str, user: str) -> bool:
    """Whether a file of keys may be that of more than this one user, as where sshd has one for all."""
    return not path.endswith(("/.ssh/authorized_keys", "/.ssh/authorized_keys2")) and user not in path.split("/")


def _is_file_of_unit(path: str) -> bool:
    folder = next((one for one in UNIT_FILES if path.startswith(one)), "")
    return bool(folder) and _is_unit(path.removeprefix(folder).split("/")[0])


def _is_unit(name: str) -> bool:
    return _matches(name, UNITS)


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)
