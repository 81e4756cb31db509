"""The forms of inventory sources: other lists of servers that are read instead of writing them down again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from maintenancebot.settings.aws import Region
from maintenancebot.settings.aws import Session as AwsSession
from maintenancebot.settings.values import AbsoluteFile, Name, Positive, Share, Strict, Text, matching


class Source(Strict):
    """What every source has."""

    name: Name | None = Field(default=None, description="Name in reports; the type, if no other source has it.")
    groups: tuple[Name, ...] = Field(default=(), description="Groups that all of its hosts are in.")
    timeout: Positive = Field(default=60, description="Seconds in which it must have answered.")
    max_age_hours: Positive = Field(
        default=24, description="How old its last good answer may be before nothing is changed on its hosts."
    )
    min_share: Share = Field(
        default=0.5, description="A smaller share of the hosts of the last good answer needs a person."
    )


class AnsibleSource(Source):
    """An inventory of Ansible: INI, YAML, a folder with group_vars, a plugin's file, a script."""

    type: Literal["ansible"]
    path: AbsoluteFile = Field(description="File or folder, as `ansible-inventory -i` takes it.")


class SshConfigSource(Source):
    """The hosts of an ssh_config, with what ssh itself makes of them."""

    type: Literal["ssh_config"]
    path: AbsoluteFile = Field(description="The file; what it includes is read too.")


class CommandSource(Source):
    """A program that prints the JSON of Ansible's `--list`."""

    type: Literal["command"]
    argv: tuple[Text, ...] = Field(min_length=1, description="The program by its absolute path, and its arguments.")


Tag = Annotated[str, AfterValidator(matching(r"[^\x00-\x1f]{1,127}", "the key of a tag", "such as Role"))]


class Ec2Source(AwsSession, Source):
    """The running instances of Amazon EC2."""

    type: Literal["aws_ec2"]
    regions: tuple[Region, ...] = Field(default=(), description="Regions to look at; without them, `region` alone.")
    filters: dict[str, tuple[str, ...]] = Field(
        default={}, description='Filters of DescribeInstances: {"tag:env": [prod]}.'
    )
    address: Literal["private_ip", "public_ip", "private_dns", "public_dns"] = Field(
        default="private_ip", description="Which address is connected to."
    )
    name_tag: Tag = Field(default="Name", description="Tag whose value is the host's name; without it, the id.")
    group_tags: tuple[Tag, ...] = Field(default=(), description="Tags that become groups: role=web is role_web.")
    user: Text | None = Field(default=None, description="Login on its hosts.")


class PluginSource(Source):
    """A source of another package, by its entry point in the group `maintenancebot.inventory`."""

    type: Literal["plugin"]
    plugin: Name = Field(description="Name of the entry point.")
    options: dict[str, Any] = Field(default={}, description="Handed to it as they are.")


AnySource = Annotated[
    AnsibleSource | SshConfigSource | CommandSource | Ec2Source | PluginSource, Field(discriminator="type")
]
