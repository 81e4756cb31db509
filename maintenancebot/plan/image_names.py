"""Names of images compared as docker means them: `nginx` is `docker.io/library/nginx:latest`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

DEFAULT_REGISTRY = "docker.io"
_HEX = re.compile(r"[0-9a-f]{6,64}")


def repository(name: str) -> str:
    """The repository of a name, registry included, tag and digest left out."""
    bare = name.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    path = head + slash + last.partition(":")[0]
    first, _, rest = path.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        return path
    return f"{DEFAULT_REGISTRY}/{path}" if rest else f"{DEFAULT_REGISTRY}/library/{path}"


def tag_of(name: str) -> str:
    """The tag of a name, empty without one."""
    return name.partition("@")[0].rpartition("/")[2].partition(":")[2]


def full(name: str) -> str:
    """Registry, repository and tag; a digest is left out."""
    return f"{repository(name)}:{tag_of(name) or 'latest'}"


class Names:
    """A set of names that are in use, each with who uses it; exact, by digest, by id, or with wildcards."""

    def __init__(self, users: Iterable[tuple[str, str]]) -> None:
        self._exact: dict[str, str] = {}
        self._digests: dict[str, str] = {}
        self._ids: list[tuple[str, str]] = []
        self._patterns: list[tuple[str, str]] = []
        for name, user in users:
            self._add(name, user)

    def _add(self, name: str, user: str) -> None:
        bare, _, digest = name.partition("@")
        if digest:
            self._digests.setdefault(digest, user)
        if _HEX.fullmatch(bare.removeprefix("sha256:")):
            self._ids.append((bare.removeprefix("sha256:"), user))
        if "*" in bare:
            self._patterns.append((bare if tag_of(bare) else f"{bare}:*", user))
        elif not digest or tag_of(bare):
            self._exact.setdefault(full(bare), user)

    def user(self, identity: str, tags: Iterable[str], digests: Iterable[str]) -> str:
        """Who uses an image with this id, these tags and digests; empty when nobody does."""
        for digest in (identity, *(name.partition("@")[2] for name in digests)):
            if digest in self._digests:
                return self._digests[digest]
        for name in map(full, tags):
            if name in self._exact:
                return self._exact[name]
            for pattern, user in self._patterns:
                if fnmatchcase(name, pattern) or fnmatchcase(name, f"*/{pattern}"):
                    return user
        plain = identity.removeprefix("sha256:")
        return next((user for prefix, user in self._ids if plain.startswith(prefix)), "")
