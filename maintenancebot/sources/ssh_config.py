"""The hosts of an ssh_config: their names from the file and all that it includes, their values from `ssh -G`."""

from __future__ import annotations

import glob
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from maintenancebot.inventory_sources import SshConfigSource
from maintenancebot.model import Json
from maintenancebot.sources import programs
from maintenancebot.sources.listing import Listed, Listing, SourceError

DEEPEST = 16
"""Levels of `Include`, as in ssh itself."""

MAGIC = frozenset("*?!")


def read(source: SshConfigSource) -> Listing:
    """The hosts that the file names one by one; raises SourceError."""
    program = shutil.which("ssh")
    if program is None:
        raise SourceError("reading an ssh_config needs the program ssh; install openssh-client")
    problems: list[str] = []
    hosts = []
    end = time.monotonic() + source.timeout
    for name in dict.fromkeys(_names(source.path, source.path.parent, 0, set())):
        left = end - time.monotonic()
        if left <= 0:
            raise SourceError(f"ssh did not tell of all hosts within {source.timeout:.0f} s")
        try:
            said = _said(programs.output([program, "-G", "-F", str(source.path), "--", name], timeout=left))
        except SourceError as error:
            problems.append(f"{name} is left out: {error}")
            continue
        if said.get("proxycommand", ["none"])[0] != "none":
            problems.append(f"{name} is left out: a ProxyCommand leads to it, which is not run here; write ProxyJump")
            continue
        hosts.append(Listed(name, _values(name, said)))
    return Listing(tuple(hosts), tuple(problems))


def _names(path: Path, base: Path, depth: int, seen: set[Path]) -> Iterator[str]:
    """Names without wildcards after `Host`, in the order of the files, each of which is read once."""
    if path in seen:
        return
    seen.add(path)
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        if depth:
            return  # ssh passes over what it cannot include
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    for line in lines:
        keyword, rest = _words(line)
        if keyword == "host":
            yield from (word for word in rest if not MAGIC & set(word) and not word.startswith("-"))
        elif keyword == "include" and depth < DEEPEST:
            for pattern in rest:
                for found in sorted(glob.glob(str(base / Path(pattern).expanduser()))):  # noqa: PTH207  absolute or not
                    yield from _names(Path(found), base, depth + 1, seen)


def _words(line: str) -> tuple[str, list[str]]:
    try:
        words = shlex.split(re.sub(r"^(\w+)\s*=", r"\1 ", line.strip()), comments=True)
    except ValueError:
        return "", []
    return (words[0].lower(), words[1:]) if words else ("", [])


def _said(data: bytes) -> dict[str, list[str]]:
    """The lines of `ssh -G`: keyword -> values."""
    found: dict[str, list[str]] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        keyword, _, value = line.partition(" ")
        found.setdefault(keyword, []).append(value)
    return found


def _values(name: str, said: Mapping[str, list[str]]) -> dict[str, Json]:
    def one(keyword: str) -> str:
        return next(iter(said.get(keyword, ())), "")

    values: dict[str, Json] = {"address": one("hostname") or name, "user": one("user")}
    if one("port") not in ("", "22"):
        values["port"] = int(one("port"))
    if one("proxyjump") not in ("", "none"):
        values["jump"] = one("proxyjump")
    keys = [Path(key).expanduser() for key in said.get("identityfile", ())]
    existing = next((key for key in keys if key.is_file()), None)
    return {**values, **({"key": str(existing)} if existing else {})}
