"""What a baseline file may hold: its hosts, and the items of each kind."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from maintenancebot.settings.baseline_kinds import (
    Crontab,
    Declared,
    File,
    Group,
    Kernel,
    Keys,
    Mount,
    Package,
    Service,
    Sysctl,
    User,
)
from maintenancebot.settings.values import Selectors, Strict


class BaselineFile(Strict):
    """A whole baseline."""

    hosts: Selectors = Field(description="Who it is for: hosts, groups, globs, `!name` to leave out.")
    files: tuple[File, ...] = Field(default=(), description="Files.")
    packages: tuple[Package, ...] = Field(default=(), description="Packages.")
    services: tuple[Service, ...] = Field(default=(), description="Units of systemd, timers too.")
    sysctl: tuple[Sysctl, ...] = Field(default=(), description="Values of the running kernel.")
    users: tuple[User, ...] = Field(default=(), description="Accounts.")
    groups: tuple[Group, ...] = Field(default=(), description="Groups of accounts.")
    keys: tuple[Keys, ...] = Field(default=(), description="Authorized keys.")
    crontabs: tuple[Crontab, ...] = Field(default=(), description="Crontabs of users.")
    mounts: tuple[Mount, ...] = Field(default=(), description="Mounted file systems.")
    kernel: tuple[Kernel, ...] = Field(default=(), description="Words of the kernel's command line.")


SECTIONS: Mapping[str, type[Declared]] = {
    "files": File,
    "packages": Package,
    "services": Service,
    "sysctl": Sysctl,
    "users": User,
    "groups": Group,
    "keys": Keys,
    "crontabs": Crontab,
    "mounts": Mount,
    "kernel": Kernel,
}
"""The sections of a baseline with items, in the order in which hosts are held against them."""
