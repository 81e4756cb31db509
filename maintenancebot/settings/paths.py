"""Rules for paths in a configuration: which trees may be named for deletion, and the glob grammar of patterns.

Everything compares cleaned path components, never prefixes of strings: /var/deployments-old is not below
/var/deployments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from maintenancebot.settings.refused import RefusedError

Components = tuple[str, ...]

SYSTEM_TREES = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/root/.ssh",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/apt",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/var/lib/systemd",
    "/var/lock",
    "/var/run",
)
"""Trees without which a host does not work; nothing at, below or above one can be named for deletion."""

OWN_TREES = ("/var/lib/maintenancebot",)
OWN_PREFIX = ".maintenancebot"
"""Our own state, and how the names of our own folders (the trash) begin."""

MAGIC = frozenset("*?[")
BRACKETS = re.compile(r"\[!?[^\]\[!^][^\]\[]*\]")


def clean(path: str) -> str:
    """The path without a slash at its end; raises RefusedError unless it is absolute and means what it says."""
    return "/" + "/".join(components(path))


def components(path: str) -> Components:
    """The names a path consists of; raises RefusedError for anything but an absolute path without tricks."""
    if not path.strip():
        raise RefusedError("the path is empty", "write an absolute path, or remove the entry")
    if path != path.strip() or not path.isprintable():
        raise RefusedError(f"{path!r} has blanks at an end, or control characters", "write the path without them")
    if not path.startswith("/"):
        raise RefusedError(f"{path!r} is not an absolute path", "write the whole path, beginning with /")
    parts = tuple(path.removesuffix("/").split("/")[1:])
    if "" in parts:
        raise RefusedError(
            f"{path!r} has an empty component", "write single slashes; an empty variable may be the cause"
        )
    if "." in parts or ".." in parts:
        raise RefusedError(f"{path!r} contains '.' or '..'", "write the path that it leads to")
    return parts


def is_within(inner: Components, outer: Components) -> bool:
    """Whether `inner` is `outer` or lies below it."""
    return inner[: len(outer)] == outer


def allowed_root(path: str) -> str:
    """The cleaned path of a tree in which files may be deleted; raises RefusedError when it is too dangerous."""
    parts = components(path)
    if any(MAGIC & set(part) for part in parts):
        raise RefusedError(
            f"{path!r} contains a wildcard", "name the tree itself; wildcards belong into a task's patterns"
        )
    _refuse_dangerous(parts, path)
    return "/" + "/".join(parts)


def trash_folder(path: str) -> str:
    """The cleaned path of a folder for a trash; raises RefusedError for places that others or the system empty."""
    parts = components(path)
    if any(MAGIC & set(part) for part in parts):
        raise RefusedError(f"{path!r} contains a wildcard", "name one folder")
    _refuse_dangerous(parts, path)
    for tree in ("/tmp", "/var/tmp", "/home"):  # noqa: S108  named to be refused
        if is_within(parts, components(tree)):
            raise RefusedError(f"{path!r} lies in {tree}, which others write or empty", "name a folder of root's own")
    return "/" + "/".join(parts)


def pattern(text: str) -> str:
    """The same pattern of files to delete; raises RefusedError unless it has a harmless static root."""
    glob(text)
    _refuse_dangerous(static_root(text), text)
    return text


def glob(text: str) -> str:
    """The same glob; raises RefusedError when it is outside the documented grammar.

    `*` and `?` match within one component, `[ab]`, `[a-z]` and `[!ab]` one character, `**` as a whole component any
    number of folders. A name that starts with a dot is matched only by a component that starts with a dot.
    """
    if text.endswith("/"):
        raise RefusedError(f"{text!r} ends with a slash", "patterns name files; write /* or /**/* at the end")
    parts = components(text)
    for part in parts:
        _check_component(part, text)
    if not parts or parts[-1] == "**":
        raise RefusedError(
            f"{text!r} names folders only", "patterns name files; write /**/* for all files at any depth"
        )
    return text


def keep_rule(text: str) -> str:
    """The same rule for what stays; raises RefusedError outside the grammar of globs.

    It may name a folder, which keeps everything below it, and may begin without a slash: then it holds at any depth.
    """
    parts = components(text if text.startswith("/") else f"/{text}")
    if not parts:
        raise RefusedError(f"{text!r} would keep everything", "name the files or folders that stay")
    for part in parts:
        _check_component(part, text)
    return text


def static_root(text: str) -> Components:
    """The folder below which a pattern looks: its components before the first wildcard, never its last one."""
    parts = components(text)
    fixed = [index for index, part in enumerate(parts) if MAGIC & set(part)]
    return parts[: fixed[0] if fixed else len(parts) - 1]


def outside(text: str, allow: Iterable[str]) -> bool:
    """Whether a pattern could name a file outside all allowed trees."""
    root = static_root(text)
    return not any(is_within(root, components(tree)) for tree in allow)


def _refuse_dangerous(parts: Components, text: str) -> None:
    where = "/" + "/".join(parts)
    if len(parts) < 2:
        raise RefusedError(
            f"{text!r} reaches all of {where}", "name a folder at least two levels deep, such as /var/log or /srv/app"
        )
    for tree in SYSTEM_TREES:
        if is_within(parts, components(tree)) or is_within(components(tree), parts):
            raise RefusedError(f"{text!r} reaches the system's own {tree}", "name a folder of logs or data")
    if any(part.startswith(OWN_PREFIX) for part in parts) or _overlaps_own(parts):
        raise RefusedError(
            f"{text!r} reaches maintenancebot's own trash or state", "name a folder that does not hold it"
        )


def _overlaps_own(parts: Components) -> bool:
    own = [components(tree) for tree in OWN_TREES]
    return any(is_within(parts, tree) or is_within(tree, parts) for tree in own)


def _check_component(part: str, text: str) -> None:
    if "**" in part and part != "**":
        raise RefusedError(
            f"{text!r}: ** stands for folders and must be a whole component", "write /**/*.log, not /**.log"
        )
    if "\\" in part:
        raise RefusedError(
            f"{text!r} contains a backslash, which escapes nothing here", "write [*] for the character *"
        )
    if "{" in part or "}" in part:
        raise RefusedError(
            f"{text!r} contains braces, which are not expanded", "write one pattern for each alternative"
        )
    for low, high in re.findall(r"([^\[\]])-([^\[\]])", "".join(BRACKETS.findall(part))):
        if high < low:
            raise RefusedError(f"{text!r} has the range {low}-{high} the wrong way round", f"write {high}-{low}")
    rest = BRACKETS.sub("", part)
    if "[" in rest or "]" in rest:
        raise RefusedError(
            f"{text!r} has a bracket that is not closed, empty, or starts with ^", "write [ab], [a-z] or [!ab]"
        )
