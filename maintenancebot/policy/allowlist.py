"""Which paths of a host may be touched: pure rules on path components, never on prefixes of strings.

The helper has the same rules in `helper/globs.py` and asks them again on the host, at the moment of the change.
Paths come from hosts: they may hold any character, and lone surrogates for bytes that are not UTF-8.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache

Components = tuple[str, ...]

OWN_PREFIX = ".maintenancebot"
ANY_DEPTH = "**"


def components(path: str) -> Components:
    """The names of an absolute path; raises ValueError when it is relative or has `.`, `..` or NUL in it."""
    parts = tuple(part for part in path.split("/") if part)
    if not path.startswith("/") or "\0" in path or "." in parts or ".." in parts:
        raise ValueError(f"not a plain absolute path: {path!r}")
    return parts


def allowing_root(path: str, allow: Iterable[str]) -> str:
    """The longest allowed tree that the path lies in, empty when there is none: in doubt nothing is allowed."""
    try:
        parts = components(path)
        roots = [components(root) for root in allow]
    except ValueError:
        return ""
    if is_own(path):
        return ""
    holding = [root for root in roots if root and len(parts) > len(root) and parts[: len(root)] == root]
    return "/" + "/".join(sorted(holding, key=len)[-1]) if holding else ""


def is_own(path: str) -> bool:
    """Whether the path is, or lies in, something of ours, as the trash."""
    return any(part.startswith(OWN_PREFIX) for part in path.split("/"))


def is_allowed(path: str, allow: Iterable[str]) -> bool:
    """Whether the path lies in an allowed tree; the tree itself does not."""
    return allowing_root(path, allow) != ""


def protecting_rule(path: str, protect: Iterable[str]) -> str:
    """The first rule that matches the path or a folder above it, empty when none does.

    A rule is an absolute glob, or a relative one that holds below any folder; its wildcards match hidden names too. A
    path that cannot be read is protected by every rule there is, and by itself when there is none.
    """
    try:
        parts = components(path)
    except ValueError:
        return path or "empty path"
    return next((rule for rule in protect if covers(rule, parts)), "")


def covers(rule: str, parts: Components) -> bool:
    """Whether a glob matches these components, or the first few of them."""
    tests = _compiled(rule if rule.startswith("/") else f"/{ANY_DEPTH}/{rule}")
    states = _closed({0}, tests)
    for part in parts:
        states = _after(states, part, tests)
        if len(tests) in states:
            return True
    return False


def _after(states: Iterable[int], name: str, tests: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    found: set[int] = set()
    for index in states:
        test = tests[index] if index < len(tests) else _NOTHING
        if test is None:
            found.add(index)
        elif test.match(name):
            found.add(index + 1)
    return _closed(found, tests)


def _closed(states: set[int], tests: tuple[re.Pattern[str] | None, ...]) -> set[int]:
    closed = set(states)
    for state in states:
        index = state
        while index < len(tests) and tests[index] is None:
            index += 1
            closed.add(index)
    return closed


@lru_cache(maxsize=1024)
def _compiled(rule: str) -> tuple[re.Pattern[str] | None, ...]:
    return tuple(None if part == ANY_DEPTH else re.compile(fnmatch.translate(part)) for part in components(rule))


_NOTHING = re.compile(r"(?!)")
