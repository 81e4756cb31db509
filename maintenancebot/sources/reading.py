"""The literal table of kinds of sources: who reads which; each module is imported when such a source is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from maintenancebot.inventory_sources import AnySource, PluginSource
from maintenancebot.sources.listing import Listed, Listing, SourceError

ENTRY_POINTS = "maintenancebot.inventory"


def read(source: AnySource) -> Listing:
    """What a source lists now; raises SourceError, or whatever a plugin raises."""
    return READERS[source.type](source)


def _ansible(source: Any) -> Listing:
    from maintenancebot.sources import ansible

    return ansible.read(source)


def _command(source: Any) -> Listing:
    from maintenancebot.sources import ansible

    return ansible.read_command(source)


def _ssh_config(source: Any) -> Listing:
    from maintenancebot.sources import ssh_config

    return ssh_config.read(source)


def _aws_ec2(source: Any) -> Listing:
    from maintenancebot.sources.aws_ec2 import read as read_instances

    return read_instances(source)


def _plugin(source: PluginSource) -> Listing:
    """The answer of another package; what it gives is checked like any other host."""
    from importlib.metadata import entry_points

    from maintenancebot.remote.aws import AwsError, within

    found = list(entry_points(group=ENTRY_POINTS, name=source.plugin))
    if not found:
        raise SourceError(f"no installed package has the entry point {source.plugin!r} in {ENTRY_POINTS}")
    limit = float(source.timeout)
    try:
        answer = within(limit, lambda: found[0].load()(source.options, limit))
    except AwsError as error:
        raise SourceError(str(error)) from error
    if not isinstance(answer, Listing):
        raise SourceError(f"the plugin {source.plugin!r} gave no Listing")
    for one in answer.hosts:
        if not (isinstance(one, Listed) and isinstance(one.values, Mapping) and isinstance(one.groups, tuple | list)):
            raise SourceError(f"the plugin {source.plugin!r} gave a host that is no Listed with values and groups")
    try:
        json.dumps([[one.name, dict(one.values), list(one.groups)] for one in answer.hosts])
    except (TypeError, ValueError) as error:
        raise SourceError(f"the plugin {source.plugin!r} gave what cannot be remembered: {error}") from error
    return answer


READERS: dict[str, Callable[[Any], Listing]] = {
    "ansible": _ansible,
    "ssh_config": _ssh_config,
    "command": _command,
    "aws_ec2": _aws_ec2,
    "plugin": _plugin,
}
