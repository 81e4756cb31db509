"""Reads the JSON that `ansible-inventory --list` and inventory scripts print; no template is ever filled in."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from maintenancebot.model import Json
from maintenancebot.sources.listing import Listed, Listing, SourceError

ALL = ("all", "ungrouped")
"""Groups that every inventory of Ansible has and that say nothing."""

JUMP = re.compile(r"(?:^|\s)(?:-J\s*|-o\s*ProxyJump[= ])['\"]?([^\s'\"]+)")
WAYS = frozenset({"ssh", "smart", "paramiko", "paramiko_ssh", "local"})
"""Connections of Ansible that are ours too; by others, an address is that of something between."""

YES = ("true", "yes", "on", "1", "y", "t")
GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def listing(data: bytes) -> Listing:
    """The hosts with all groups above theirs; raises SourceError when it is not such a document."""
    try:
        document = json.loads(data)
        groups = {name: group for name, group in document.items() if name != "_meta"}
        variables = document.get("_meta", {}).get("hostvars", {})
        members = _members(groups)
        problems: list[str] = []
        hosts = tuple(_hosts(members, variables, problems))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(f"this is not the JSON of an inventory: {type(error).__name__}: {error}") from error
    return Listing(hosts, tuple(problems))


def _members(groups: Mapping[str, Json]) -> dict[str, list[str]]:
    """Each host with its groups and all groups above these, in the order of the document."""
    above: dict[str, list[str]] = {}
    for name, group in groups.items():
        for child in group.get("children", ()) if isinstance(group, Mapping) else ():
            above.setdefault(child, []).append(name)
    found: dict[str, list[str]] = {}
    for name, group in groups.items():
        hosts = group.get("hosts", ()) if isinstance(group, Mapping) else group  # a bare list is an old, legal form
        if isinstance(hosts, str):
            raise TypeError(f"the hosts of the group {name!r} are no list")
        line = _line(name, above)
        for host in hosts:
            found.setdefault(str(host), []).extend(line)
    return found


def _line(name: str, above: Mapping[str, list[str]]) -> list[str]:
    """A group and all groups above it; a circle is walked once."""
    found: dict[str, None] = {}
    waiting = deque([name])
    while waiting:
        group = waiting.popleft()
        if group not in found:
            found[group] = None
            waiting += above.get(group, [])
    return [group for group in found if group not in ALL]


def _hosts(members: Mapping[str, list[str]], variables: Mapping[str, Json], problems: list[str]) -> Iterator[Listed]:
    odd = sorted({group for groups in members.values() for group in groups if not GROUP.fullmatch(group)})
    if odd:
        problems.append(f"groups with names that cannot be selected are left out: {', '.join(odd[:5])}")
    for name, groups in members.items():
        said = {key: value for key, value in variables.get(name, {}).items() if key.startswith("ansible_")}
        closed = [key for key in KEYS if _is_unfilled(said.get(key))]
        if closed:
            problems.append(f"{name} is left out: {closed[0]} holds a template or a vault, which only Ansible opens")
            continue
        way = str(said.get("ansible_connection") or "ssh").removeprefix("ansible.builtin.")
        if way not in WAYS:
            problems.append(f"{name} is left out: it is reached by {way[:60]!r}, which is not SSH")
            continue
        values = {key: value for key, value in _values(said).items() if value not in (None, "")}
        yield Listed(name, values, tuple(dict.fromkeys(group for group in groups if group not in odd)))


KEYS = (
    *("ansible_host", "ansible_ssh_host", "ansible_port", "ansible_ssh_port", "ansible_user", "ansible_ssh_user"),
    *("ansible_connection", "ansible_become", "ansible_become_method", "ansible_ssh_private_key_file"),
    *("ansible_ssh_common_args", "ansible_private_key_file"),
)
"""Variables that say how a host is reached."""


def _values(said: Mapping[str, Json]) -> dict[str, Json]:
    """The same in the words of the inventory file."""
    jump = JUMP.search(str(said.get("ansible_ssh_common_args", "")))
    port = said.get("ansible_port", said.get("ansible_ssh_port"))
    return {
        "address": said.get("ansible_host", said.get("ansible_ssh_host")),
        "port": int(port) if str(port or "").isdecimal() else port,  # what is no number is refused by its host alone
        "user": said.get("ansible_user", said.get("ansible_ssh_user")),
        "connection": "local" if said.get("ansible_connection") in ("local", "ansible.builtin.local") else None,
        "become": _truth(said.get("ansible_become")),
        "become_method": said.get("ansible_become_method"),
        "key": _key(said.get("ansible_ssh_private_key_file", said.get("ansible_private_key_file"))),
        "jump": jump[1] if jump else None,
    }


def _key(value: Json) -> str | None:
    """An absolute path; a relative one means a folder that only Ansible knows."""
    path = Path(str(value)).expanduser() if value else Path()
    return str(path) if path.is_absolute() else None


def _truth(value: Json) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    return str(value).lower() in YES


def _is_unfilled(value: Json) -> bool:
    return (isinstance(value, Mapping) and "__ansible_vault" in value) or (isinstance(value, str) and "{{" in value)
