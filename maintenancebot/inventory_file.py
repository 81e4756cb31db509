"""The form of an inventory file, and what a host gets from its groups and from `defaults`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from maintenancebot.inventory_sources import AnySource
from maintenancebot.settings.values import AbsoluteFile, Name, Strict, Text, Zone, refusal

HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def address(text: str) -> str:
    """The same address; refuses all but a host name, an IPv4 and an IPv6 address."""
    if text.startswith("[") and text.endswith("]"):
        raise refusal(f"{text!r} has brackets", f'write "{text[1:-1]}"')
    if "@" in text:
        raise refusal(f"{text!r} contains a user", "write the user as `user: …`")
    if _is_ip(text):
        return text
    if re.fullmatch(r"[^:]+:[0-9]+", text):
        raise refusal(f"{text!r} contains a port", "write the port as `port: …`")
    labels = text.removesuffix(".").split(".")
    if len(text) > 253 or not all(HOST_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise refusal(f"{text!r} is no address", 'write a host name, or an IPv4 or IPv6 address such as "10.0.0.11"')
    return text


def _is_ip(text: str) -> bool:
    if not re.fullmatch(r"[0-9A-Fa-f.:]+(%[A-Za-z0-9_.-]+)?", text):
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _user(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}", text):
        raise refusal(f"{text!r} is no user name", "write letters, digits, and . _ - @ after the first")
    return text


def _host_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?", text):
        raise refusal(f"{text[:60]!r} is no host name", "write letters, digits, and . _ - between them")
    return text


User = Annotated[str, AfterValidator(_user)]
HostName = Annotated[str, AfterValidator(_host_name)]
Address = Annotated[str, AfterValidator(address)]
Labels = dict[Name, str]


class Common(Strict):
    """What can be said for all hosts, for a group, or for one host."""

    port: int | None = Field(default=None, ge=1, le=65535, description="Port of sshd; 22.")
    user: User | None = Field(default=None, description="Login; root.")
    become: bool | None = Field(default=None, description="Whether to use sudo; else when the login is not root.")
    become_method: Literal["sudo", "doas"] | None = Field(default=None, description="By which program; sudo.")
    key: AbsoluteFile | None = Field(default=None, description="Private key of the login, before those of `ssh.keys`.")
    connection: Literal["ssh", "local"] | None = Field(default=None, description="`local` is this machine; ssh.")
    cloud: Text | None = Field(default=None, description="Where the host runs.")
    labels: Labels = Field(default={}, description="Free texts by name.")
    timezone: Zone | None = Field(default=None, description="The host's own time zone.")
    quorum: Text | None = Field(default=None, description="Hosts of one quorum are never rebooted together.")
    via: HostName | None = Field(default=None, description="The bastion: another host of this file.")
    maintenance: bool | None = Field(default=None, description="Hands off: the host is looked at, never changed.")


class Group(Common):
    """What the hosts of a group have in common."""


class Entry(Common):
    """One host."""

    address: Address | None = Field(default=None, description="Host name, IPv4 or IPv6; the name of the host.")
    groups: tuple[Name, ...] = Field(default=(), description="Groups that the host is in.")
    cloud_id: Text | None = Field(default=None, description="The machine's id with its cloud.")


class InventoryFile(Strict):
    """A whole inventory file."""

    defaults: Common = Field(default=Common(), description="What holds for every host.")
    groups: dict[Name, Group | None] = Field(default={}, description="Groups with what their hosts have in common.")
    hosts: dict[HostName, Entry | None] = Field(default={}, description="The hosts by name.")
    sources: tuple[AnySource, ...] = Field(default=(), description="Other lists of servers that are read.")

    @model_validator(mode="after")
    def _names_some(self) -> InventoryFile:
        if not self.hosts and not self.sources:
            raise refusal("the inventory has no host", "write at least one under `hosts`, or a list under `sources`")
        return self


Conflict = tuple[str, list[str]]


def merged(file: InventoryFile, entry: Entry | None) -> tuple[dict[str, Any], list[Conflict]]:
    """What holds for a host: its own words before its groups', before the defaults; and where its groups disagree."""
    entry = entry or Entry()
    own = _said(entry)
    from_groups, conflicts = _of_groups({name: file.groups.get(name) or Group() for name in entry.groups})
    values = {**_said(file.defaults), **from_groups, **own}
    labels = {key[7:]: values.pop(key) for key in sorted(values) if key.startswith("labels.")}
    values |= {"key": str(values["key"])} if "key" in values else {}
    result = {**values, "groups": tuple(dict.fromkeys(entry.groups)), "labels": tuple(labels.items())}
    return result, [conflict for conflict in conflicts if conflict[0] not in own]


def _of_groups(groups: Mapping[str, Group]) -> tuple[dict[str, Any], list[Conflict]]:
    said: dict[str, Any] = {}
    by: dict[str, str] = {}
    conflicts: list[Conflict] = []
    for name, group in groups.items():
        for key, value in _said(group).items():
            if key in said and said[key] != value:
                conflicts.append((key, [by[key], name]))
            said[key], by[key] = value, name
    return said, conflicts


def _said(section: Common) -> dict[str, Any]:
    """The values that a section says, labels one by one."""
    values = {key: getattr(section, key) for key in section.model_fields_set - {"labels", "groups"}}
    values |= {f"labels.{key}": value for key, value in section.labels.items()}
    return {key: value for key, value in values.items() if value is not None}
